"""The graph of a circuit: planted edges that were found, planted ones that were missed, and others found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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
_LANE = 50
_CLEAR = 0.45  # lanes between a node and an edge that passes it by
_APART = 0.3  # lanes between the letters of two edges that end at one node
_BESIDE = 0.16  # lanes between two edges that join the same nodes

Point = tuple[float, float]


def draw(content: Circuit) -> Drawing:
    """Draw nodes in columns, in order of computation, and edges from left to right."""
    places = _places(content)
    curves: list[dict[str, Any]] = []
    ports: dict[str, list[tuple[Point, str]]] = {}
    for n, (edges, way) in enumerate(_bundles(content, places)):
        letters = " ".join(edge.port for edge in edges if edge.port)
        name = f"{edges[0].source} to {edges[0].destination}{f' ({letters})' if letters else ''}"
        same = {"edge": n, "name": name, "fate": _fate(edges[0])}
        curves += [{**same, "step": i, "x": x, "y": y} for i, (x, y) in enumerate(way)]
        if letters:
            ports.setdefault(edges[0].destination, []).append((_before_the_end(way), letters))
    nodes = [{"node": name.rpartition(".")[2], "x": x, "y": y} for name, (x, y) in places.items()]
    columns = [
        {"x": x, "column": names[0].rpartition(".")[0]}
        for x, names in enumerate(content.columns)
        if "." in names[0]
    ]
    lanes = max(len(names) for names in content.columns)
    spec = filled(
        _spec(len(content.columns), lanes), curves=curves, nodes=nodes, ports=_labels(ports), columns=columns
    )
    return Drawing(
        title="Circuit beside the planted one", caption=_caption(content), alt=_alt(content), spec=spec
    )


def _places(content: Circuit) -> dict[str, Point]:
    """Return where each node is: x the column, y the lane, counted from the middle.

    MLPs, each alone in its column, get a lane below all others, so that edges pass between lanes.
    """
    lanes, last = max(map(len, content.columns)), len(content.columns) - 1
    places = {}
    for x, names in enumerate(content.columns):
        alone = len(names) == 1 < lanes and 0 < x < last
        top = lanes / 2 + 0.5 if alone else -(len(names) - 1) / 2
        places.update({name: (float(x), top + lane) for lane, name in enumerate(names)})
    return places


def _bundles(
    content: Circuit, places: Mapping[str, Point]
) -> Iterator[tuple[tuple[DrawnEdge, ...], list[Point]]]:
    """Yield edges that share both ends and their fate, with the points of their way."""
    bundles: dict[tuple[str, str, str], list[DrawnEdge]] = {}
    for edge in content.edges:
        bundles.setdefault((edge.source, edge.destination, _fate(edge)), []).append(edge)
    used: Counter[Any] = Counter()
    for (source, destination, _), edges in bundles.items():
        yield tuple(edges), _way(places, places[source], places[destination], used)


def _way(places: Mapping[str, Point], start: Point, end: Point, used: Counter[Any]) -> list[Point]:
    """Return points of an edge: straight where no node is in its way, else along a gap between lanes.

    Args:
        places: of all nodes.
        start: of the edge.
        end: of the edge.
        used: how many edges went along each gap, or between two nodes, so that none covers another.
    """
    (x, y), (x2, y2) = start, end
    inner = [node for node in places.values() if x < node[0] < x2]
    slope = (y2 - y) / (x2 - x)
    if all(abs(y + slope * (column - x) - lane) >= _CLEAR for column, lane in inner):
        beside = _beside(used, (start, end))
        middle = (round((x + x2) / 2, 3), round((y + y2) / 2 + beside, 3))
        return [start, middle, end] if beside else [start, end]
    gaps = sorted({lane + half for _, lane in inner for half in (-0.5, 0.5)})
    free = [gap for gap in gaps if all(abs(gap - lane) >= _CLEAR for _, lane in inner)]
    gap = min(free, key=lambda lane: (abs(lane - (y + y2) / 2), lane))
    lane = round(gap + _beside(used, gap), 3)
    return [start, (x + 1, lane), (x2 - 1, lane), end] if x2 - x > 2 else [start, (x + 1, lane), end]


def _beside(used: Counter[Any], gap: Any) -> float:
    """Return how far from the middle of a gap the next edge goes: 0, then to and fro."""
    n = used[gap]
    used[gap] += 1
    return _BESIDE * ((n + 1) // 2) * (1 if n % 2 else -1)


def _before_the_end(way: list[Point]) -> Point:
    (x, y), (x2, y2) = way[-2:]
    part = min(0.5, 0.42 / (x2 - x))
    return round(x2 - (x2 - x) * part, 3), round(y2 - (y2 - y) * part, 3)


def _labels(ports: Mapping[str, list[tuple[Point, str]]]) -> list[dict[str, Any]]:
    """Return the letters at the ends of edges, moved apart where several meet at one node."""
    labels = []
    for found in ports.values():
        ordered = sorted(found, key=lambda one: (one[0][1], one[1]))
        middle = sum(y for (_, y), _ in ordered) / len(ordered)
        least = middle - _APART * (len(ordered) - 1) / 2
        for (x, y), letters in ordered:
            y = max(y, least) if len(ordered) > 1 else y
            labels.append({"x": x, "y": round(y, 3), "port": letters})
            least = y + _APART
    return labels


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
    y = alt.Y(
        "y:Q",
        axis=None,
        scale=alt.Scale(domain=[-lanes / 2 - 0.55, lanes / 2 + 0.8], nice=False, reverse=True),
    )
    lines = _lines().encode(x=x, y=y)
    base = alt.Chart(named("nodes")).encode(x=x, y=y)
    nodes = base.mark_point(filled=True, size=60, color=WRONG, opacity=1)
    names = base.mark_text(dy=-9, fontSize=10).encode(text="node:N")
    ports = (
        alt.Chart(named("ports")).mark_text(fontSize=11, fontWeight="bold").encode(x=x, y=y, text="port:N")
    )
    heads = (
        alt.Chart(named("columns"))
        .mark_text(fontSize=11, fontWeight="bold", baseline="top")
        .encode(x=x, y=alt.value(0), text="column:N")
    )
    height = _LANE * (lanes + 1)
    return spec_of(
        alt.layer(lines, nodes, names, ports, heads).properties(width=_COLUMN * columns, height=height)
    )


def _lines() -> Any:
    """Return the edges; their fate shows in the dashes and the width, and once more in the colour."""
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolSize=500, labelLimit=200)
    return (
        alt.Chart(named("curves"))
        .mark_line(interpolate="monotone", opacity=1)
        .encode(
            order="step:Q",
            detail="edge:N",
            tooltip="name:N",
            color=alt.Color(
                "fate:O", scale=alt.Scale(domain=_FATES, range=[AGREES, MISSED, WRONG]), legend=legend
            ),
            strokeDash=alt.StrokeDash(
                "fate:O", scale=alt.Scale(domain=_FATES, range=[[1, 0], [7, 4], [2, 3]]), legend=legend
            ),
            strokeWidth=alt.StrokeWidth(
                "fate:O", scale=alt.Scale(domain=_FATES, range=[2.6, 2.6, 1.4]), legend=legend
            ),
        )
    )
