"""The graph of a circuit: planted edges that were found, planted ones that were missed, and others found."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

from interp_bench.board.site.drawings.ink import (
    AGREES,
    MISSED,
    WRONG,
    Drawing,
    filled,
    named,
    share_text,
    spec_of,
)
from interp_bench.harness.snapshots.stored import Circuit, DrawnEdge

_FATES = ("planted and found", "planted, missed", "found, not planted")
_COLUMN = 58
_LANE = 46
_BULGE = 0.3  # lanes that an edge leaves its straight way by, for each column that it skips

Point = tuple[float, float]


def draw(content: Circuit) -> Drawing:
    """Draw nodes in columns, in order of computation, and edges from left to right."""
    places = _places(content)
    curves, ports = [], []
    for n, edge in enumerate(content.edges):
        way = _way(places[edge.source], places[edge.destination])
        fate = _fate(edge)
        name = f"{edge.source} to {edge.destination}{f' ({edge.port})' if edge.port else ''}"
        curves += [
            {"edge": n, "name": name, "fate": fate, "step": i, "x": x, "y": y} for i, (x, y) in enumerate(way)
        ]
        if edge.port:
            x, y = _before_the_end(way)
            ports.append({"x": x, "y": y, "port": edge.port})
    nodes = [{"node": name.rpartition(".")[2], "x": x, "y": y} for name, (x, y) in places.items()]
    columns = [
        {"x": x, "column": names[0].rpartition(".")[0]}
        for x, names in enumerate(content.columns)
        if "." in names[0]
    ]
    lanes = max(len(names) for names in content.columns)
    spec = filled(
        _spec(len(content.columns), lanes), curves=curves, nodes=nodes, ports=ports, columns=columns
    )
    return Drawing(
        title="Circuit beside the planted one", caption=_caption(content), alt=_alt(content), spec=spec
    )


def _places(content: Circuit) -> dict[str, Point]:
    """Return where each node is: x the column, y the lane, counted from the middle."""
    return {
        name: (float(x), round(lane - (len(names) - 1) / 2, 3))
        for x, names in enumerate(content.columns)
        for lane, name in enumerate(names)
    }


def _way(start: Point, end: Point) -> list[Point]:
    """Return points of an edge: straight to the next column, else a bow round the nodes on its way."""
    (x, y), (x2, y2) = start, end
    skipped = x2 - x - 1
    if skipped <= 0:
        return [start, end]
    outwards = 1 if y + y2 >= 0 else -1
    height = outwards * (0.5 + _BULGE * skipped)
    middle = [(x + (x2 - x) * part, y + (y2 - y) * part + height) for part in (0.3, 0.7)]
    return [start, *[(round(a, 3), round(b, 3)) for a, b in middle], end]


def _before_the_end(way: list[Point]) -> Point:
    (x, y), (x2, y2) = way[-2:]
    part = min(0.9, 0.34 / max(0.2, x2 - x))
    return round(x2 - (x2 - x) * part, 3), round(y2 - (y2 - y) * part, 3)


def _fate(edge: DrawnEdge) -> str:
    if edge.planted:
        return _FATES[0] if edge.found else _FATES[1]
    return _FATES[2]


def _counts(content: Circuit) -> tuple[int, int, int]:
    fates = [_fate(edge) for edge in content.edges]
    return fates.count(_FATES[0]), fates.count(_FATES[1]), fates.count(_FATES[2])


def _caption(content: Circuit) -> str:
    hits, missed, _ = _counts(content)
    tied = f" {content.tied} edges tie for the last places and are not drawn." if content.tied else ""
    return (
        f"Computation goes from left to right. Of {content.n_edges} edges the {hits + missed} first in the "
        "ranking are drawn, as many as were planted: solid where they are planted, dotted where not; "
        f"dashed is what was planted and missed. q, k and v are inputs of a head.{tied}"
    )


def _alt(content: Circuit) -> str:
    hits, missed, wrong = _counts(content)
    named_edges = [
        f"{edge.source} to {edge.destination}{f' {edge.port}' if edge.port else ''}"
        for edge in content.edges
        if edge.planted and not edge.found
    ]
    listed = f" Missed: {', '.join(named_edges[:6])}." if named_edges else ""
    found = share_text(hits, hits + missed, "planted edge")
    return f"{found} found; {wrong} found that were not planted.{listed}"


@cache
def _spec(columns: int, lanes: int) -> dict[str, Any]:
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.5, columns - 0.5], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False, nice=False, reverse=True, padding=14))
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolSize=500, labelLimit=200)
    lines = (
        alt.Chart(named("curves"))
        .mark_line(interpolate="basis", opacity=1)
        .encode(
            x=x,
            y=y,
            order="step:Q",
            detail="edge:N",
            tooltip="name:N",
            color=alt.Color(
                "fate:N", scale=alt.Scale(domain=_FATES, range=[AGREES, MISSED, WRONG]), legend=legend
            ),
            strokeDash=alt.StrokeDash(
                "fate:N", scale=alt.Scale(domain=_FATES, range=[[1, 0], [7, 4], [2, 3]]), legend=legend
            ),
            strokeWidth=alt.StrokeWidth(
                "fate:N", scale=alt.Scale(domain=_FATES, range=[2.6, 2.6, 1.4]), legend=legend
            ),
        )
    )
    base = alt.Chart(named("nodes")).encode(x=x, y=y)
    nodes = base.mark_point(filled=True, size=60, color=WRONG, opacity=1)
    names = base.mark_text(dy=-10, fontSize=10).encode(text="node:N")
    ports = (
        alt.Chart(named("ports")).mark_text(fontSize=11, fontWeight="bold").encode(x=x, y=y, text="port:N")
    )
    heads = (
        alt.Chart(named("columns"))
        .mark_text(fontSize=11, fontWeight="bold", baseline="top")
        .encode(x=x, y=alt.value(0), text="column:N")
    )
    height = max(200, _LANE * lanes + 40)
    return spec_of(
        alt.layer(lines, nodes, names, ports, heads).properties(width=_COLUMN * columns, height=height)
    )
