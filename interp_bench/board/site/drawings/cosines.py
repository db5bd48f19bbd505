"""A dictionary beside the planted one: the matrix of cosines in matched order, and the matched ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

from interp_bench.board.site.drawings.ink import (
    AGREES,
    SCHEME,
    Drawing,
    cells,
    filled,
    named,
    spec_of,
    squares,
)
from interp_bench.harness.snapshots.stored import Cosines

_SIDE = 256
_GOOD = 0.8


def draw(content: Cosines) -> Drawing:
    """Draw the matrix and, beside it, its diagonal for all features."""
    size, count = len(content.shown), len(content.matched)
    rows = [{"row": i, "text": text} for i, text in enumerate(content.matrix)]
    matched = [{"rank": rank + 1, "cosine": value} for rank, value in enumerate(content.matched)]
    good = sum(value >= _GOOD for value in content.matched)
    part = "" if size == count else f"{size} of the {count}, spread evenly from best to worst: "
    return Drawing(
        title="Dictionary beside the planted one",
        caption=f"Left, {part}a row is a planted feature, a column the direction that it was matched with, "
        "brighter for a larger |cosine|: a perfect dictionary is a bright diagonal on dark ground. Right, "
        f"the diagonal for all {count} features; the dashed line is {_GOOD}.",
        alt=f"Of {count} planted features {good} have a partner with |cosine| of at least {_GOOD} among "
        f"{content.n_directions} directions; the median is {_median(content.matched):.2f}.",
        spec=filled(_spec(size, count), rows=rows, matched=matched),
    )


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


@cache
def _spec(size: int, count: int) -> dict[str, Any]:
    scale = max(1, _SIDE // size)
    color = alt.Color(
        "cosine:Q",
        scale=alt.Scale(scheme=SCHEME, domain=[0, 1]),
        legend=alt.Legend(title="|cosine|", orient="bottom", gradientLength=120),
    )
    matrix = squares(cells("rows", "text", size), size, size, scale)
    matrix = matrix.transform_calculate(cosine="toNumber('0x' + datum.digits) / 255").encode(color=color)
    base = alt.Chart(named("matched")).encode(
        x=alt.X("rank:Q", title="planted feature, best first", scale=alt.Scale(domain=[0, count + 1])),
        y=alt.Y("cosine:Q", title="|cosine| with its partner", scale=alt.Scale(domain=[0, 1])),
    )
    dots = base.mark_point(filled=True, size=34, color=AGREES, opacity=1)
    level = alt.Chart(named("matched")).mark_rule(strokeDash=[5, 4], color=AGREES).encode(y=alt.datum(_GOOD))
    side = alt.layer(level, dots).properties(width=220, height=scale * size)
    return spec_of(alt.hconcat(matrix, side, spacing=30).resolve_legend(color="independent"))
