"""Charts as Vega-Lite specifications made by Altair; the pages hand them their rows by name.

A specification depends on nothing but its kind: numbers travel beside it, and what a reader filters in the
table beside a chart is what the chart shows. Colours come from the style of the page, and never stand alone:
lines differ in their marks too.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import altair as alt

from interp_bench.analysis.claims import Chart
from interp_bench.analysis.reach import WORKS

ROWS = "rows"
BEST = "best for its cost"
OTHER = "beaten for less"
FEWER = "on fewer cells"
LOWEST = -0.25
"""Skills below are drawn here: a technique that is worse than guessing by any amount is at the bottom."""

Spec = dict[str, Any]


def curves() -> Spec:
    """Return skill against parameters: one line a series, with its band and the bound of what works.

    Rows hold ``series``, ``model``, ``params``, ``skill``, ``low``, ``high`` and ``label``.
    """
    rows = alt.Chart(alt.NamedData(name=ROWS))
    x = alt.X(
        "params:Q", title="parameters", scale=alt.Scale(type="log", nice=False, padding=20), axis=_SIZES
    )
    # Bands and lines take their colours by channels of their own, so that marks have one legend.
    colour = alt.Color("series:N", title=None, legend=_LEGEND)
    shape = alt.Shape("series:N", title=None, legend=_LEGEND)
    band = rows.mark_area(opacity=0.14, clip=True, aria=False).encode(
        x=x, y=alt.Y("low:Q", scale=_SKILL), y2="high:Q", fill=alt.Fill("series:N", legend=None)
    )
    line = rows.mark_line(clip=True, strokeWidth=2, aria=False).encode(
        x=x, y=_skill_axis("skill:Q"), stroke=alt.Stroke("series:N", legend=None)
    )
    points = rows.mark_point(filled=True, size=60, clip=True, opacity=1, aria=False).encode(
        x=x,
        y=_skill_axis("skill:Q"),
        color=colour,
        shape=shape,
        tooltip=_tips("series", "model", skill="label"),
    )
    return _plain(
        alt.layer(band, line, _bound(), points),
        height=340,
    )


def heat() -> Spec:
    """Return a grid of techniques and models, coloured by skill; what was not scored stays empty.

    Rows hold ``technique``, ``model``, ``skill``, ``label``, ``place`` and ``order``.
    """
    rows = alt.Chart(alt.NamedData(name=ROWS))
    x = alt.X(
        "model:N", title=None, sort=alt.EncodingSortField("place", op="min"), axis=alt.Axis(labelAngle=-50)
    )
    y = alt.Y("technique:N", title=None, sort=alt.EncodingSortField("order", op="min"))
    # The page gives colours from dark to bright, whose order is seen in grey too.
    colour = alt.Color(
        "skill:Q",
        title="skill",
        scale=alt.Scale(range="heatmap", domain=[0, 1], clamp=True),
        legend=alt.Legend(orient="top", gradientLength=150),
    )
    boxes = rows.mark_rect(aria=False).encode(
        x=x, y=y, color=colour, tooltip=_tips("technique", "model", skill="label")
    )
    return _plain(boxes, height={"step": 17})


def cost() -> Spec:
    """Return skill against seconds; the techniques that none beats in both are filled and named.

    Rows hold ``technique``, ``track``, ``skill``, ``low``, ``high``, ``seconds``, ``label`` and ``kind``.
    """
    rows = alt.Chart(alt.NamedData(name=ROWS))
    x = alt.X(
        "seconds:Q",
        title="seconds an answer (median)",
        scale=alt.Scale(type="log", padding=30),
        axis=alt.Axis(grid=False),
    )
    best = alt.datum.kind == BEST
    bars = rows.mark_rule(opacity=0.2, clip=True, aria=False).encode(
        x=x, y=alt.Y("low:Q", scale=_SKILL), y2="high:Q"
    )
    points = rows.mark_point(size=70, strokeWidth=1.8, clip=True, aria=False).encode(
        x=x,
        y=_skill_axis("skill:Q"),
        color=alt.Color("kind:N", title=None, legend=_LEGEND),
        shape=alt.Shape("kind:N", title=None, legend=_LEGEND),
        tooltip=_tips("technique", skill="label"),
    )
    names = (
        rows.transform_filter(best)
        .mark_text(align="left", dx=8, dy=-7, clip=False, aria=False)
        .encode(x=x, y=alt.Y("skill:Q", scale=_SKILL), text="technique:N")
    )
    frontier = (
        rows.transform_filter(best)
        .mark_line(interpolate="step-after", strokeDash=[4, 3], clip=True, aria=False)
        .encode(x=x, y=alt.Y("skill:Q", scale=_SKILL))
    )
    return _plain(alt.layer(bars, frontier, points, names), height=380)


def claim(found: Chart) -> Spec:
    """Return the chart of a claim, with its data: marks with intervals, and lines."""
    x_scale, y_scale = _axis_scale(found.x_log), _axis_scale(found.y_log)
    x = alt.X("x:Q", title=found.x_title, scale=x_scale, axis=alt.Axis(format="~s", grid=False, tickCount=8))
    y = alt.Y("y:Q", title=found.y_title, scale=y_scale)
    corners = [
        {"line": number, "x": x, "y": y, "label": line.label, "group": line.group}
        for number, line in enumerate(found.lines)
        for x, y in zip(line.x, line.y, strict=True)
    ]
    marks = alt.Chart(alt.InlineData(values=[asdict(point) for point in found.points]))
    points = marks.mark_point(filled=True, size=55, opacity=1, aria=False).encode(
        x=x,
        y=y,
        color=alt.Color("group:N", title=None, legend=_LEGEND),
        shape=alt.Shape("group:N", title=None, legend=_LEGEND),
        tooltip=_tips("label", "group", "x", "y"),
    )
    bars = marks.mark_rule(opacity=0.3, aria=False).encode(x=x, y=alt.Y("low:Q", scale=y_scale), y2="high:Q")
    lines = alt.Chart(alt.InlineData(values=corners)).mark_line(strokeDash=[5, 4], opacity=0.8, aria=False)
    drawn = lines.encode(x=x, y=y, detail="line:N", tooltip=_tips("label"))
    return _plain(alt.layer(*([bars, drawn, points] if corners else [bars, points])), height=320)


def _axis_scale(log: bool) -> alt.Scale:
    return alt.Scale(type="log", padding=20) if log else alt.Scale(zero=False, padding=20)


_SKILL = alt.Scale(domain=[LOWEST, 1.05], clamp=True, nice=False)
_LEGEND = alt.Legend(
    orient="bottom", columns=alt.ExprRef("width < 480 ? 1 : 2"), labelLimit=280, symbolStrokeWidth=2
)
_SIZES = alt.Axis(format="~s", tickCount=8, labelOverlap=True, grid=False)


def _skill_axis(field: str) -> alt.Y:
    return alt.Y(
        field, title="skill", scale=_SKILL, axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
    )


def _bound() -> alt.Chart:
    """Return the line above which a lower bound must lie."""
    at = alt.Chart(alt.InlineData(values=[{"works": WORKS}]))
    line: alt.Chart = at.mark_rule(strokeDash=[5, 4], opacity=0.7, aria=False)
    drawn: alt.Chart = line.encode(y=alt.Y("works:Q", scale=_SKILL))
    return drawn


def _tips(*names: str, **titled: str) -> list[alt.Tooltip]:
    pairs = [*((name, name) for name in names), *titled.items()]
    return [alt.Tooltip(f"{name}:N", title=title) for title, name in pairs]


def _plain(chart: Any, *, height: Any) -> Spec:
    """Return the specification, as wide as its place."""
    spec: Spec = chart.properties(width="container", height=height).to_dict()
    spec.pop("config", None)
    # A height by rows follows from them, so that only the width is fitted.
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec
