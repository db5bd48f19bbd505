"""Saliency over images, with the planted evidence outlined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import altair as alt

from interp_bench.board.site.drawings.ink import (
    SCHEME,
    Drawing,
    cells,
    filled,
    named,
    share_text,
    spec_of,
    squares,
)
from interp_bench.harness.snapshots.stored import PixelExample, Pixels

_SIDE = 192  # pixels of the screen that an image takes, about


def draw(content: Pixels) -> Drawing:
    """Draw each image above its saliency."""
    examples = content.examples
    height, width = examples[0].size
    rows, edges, peaks = [], [], []
    for n, one in enumerate(examples):
        drawn = zip(one.image, one.saliency, strict=True)
        rows += [{"example": n, "row": i, "image": a, "saliency": b} for i, (a, b) in enumerate(drawn)]
        edges += [{"example": n, **edge} for edge in outline(one.planted, one.corner)]
        peaks += [{"example": n, "row": row + 0.5, "column": column + 0.5} for row, column in one.peaks]
    hits = sum(_hit(one) for one in examples)
    return Drawing(
        title="Saliency over images",
        caption="Above the image, below it what the technique holds salient, brighter for more. The dashed "
        "line goes round the planted evidence; the cross is the most salient pixel.",
        alt=f"The most salient pixel lies within the planted evidence in "
        f"{share_text(hits, len(examples), 'image')}.",
        spec=filled(_spec(len(examples), width, height), rows=rows, edges=edges, peaks=peaks),
    )


def _hit(one: PixelExample) -> bool:
    return bool(one.peaks) and all(one.holds(row, column) for row, column in one.peaks)


def outline(mask: Sequence[str], corner: tuple[int, int] = (0, 0)) -> Iterator[dict[str, int]]:
    """Yield the lines between planted and other cells: from (x, y) to (x2, y2), as long as they go.

    Args:
        mask: rows of signs.
        corner: row and column of its first sign.
    """
    top, left = corner
    for flip, grid in ((False, list(mask)), (True, ["".join(signs) for signs in zip(*mask, strict=True)])):
        empty = "." * len(grid[0])
        for at, (before, after) in enumerate(zip([empty, *grid], [*grid, empty], strict=True)):
            # An edge belongs to the side that is planted: two areas that touch at a corner keep theirs.
            sides = ["" if a == b else a + b for a, b in zip(before, after, strict=True)]
            for side, run in groupby(range(len(sides)), key=sides.__getitem__):
                places = list(run)
                if side:
                    start, stop = places[0], places[-1] + 1
                    x, y, x2, y2 = (at, start, at, stop) if flip else (start, at, stop, at)
                    yield {"x": left + x, "y": top + y, "x2": left + x2, "y2": top + y2}


@cache
def _spec(n: int, width: int, height: int) -> dict[str, Any]:
    scale = max(1, _SIDE // width)
    above, below = [], []
    for example in range(n):
        image = squares(cells("rows", "image", width), width, height, scale).encode(
            color=alt.Color("color:N", scale=None)
        )
        image = image.transform_calculate(color="'#' + datum.digits")
        saliency = squares(cells("rows", "saliency", width), width, height, scale).encode(
            color=alt.Color("level:Q", scale=alt.Scale(scheme=SCHEME, domain=[0, 15]), legend=None)
        )
        saliency = saliency.transform_calculate(level="toNumber('0x' + datum.digits)")
        only = f"datum.example === {example}"
        parts = (image.transform_filter(only), *_lines(only))
        above.append(alt.layer(*parts).properties(title=f"Image {example + 1}"))
        parts = (saliency.transform_filter(only), *_lines(only), *_crosses(only))
        below.append(alt.layer(*parts).properties(title="Saliency"))
    spacing = {"row": 28, "column": 14}
    spec = spec_of(alt.concat(*above, *below, columns=n, spacing=spacing, bounds="flush"))
    # As SVG, each of the thousands of pixels would be an element of the page.
    return {**spec, "usermeta": {"embedOptions": {"renderer": "canvas"}}}


def _lines(only: str) -> list[Any]:
    """Return the outline, white dashes on black, which shows on any colour."""
    base = alt.Chart(named("edges")).transform_filter(only).encode(x="x:Q", y="y:Q", x2="x2:Q", y2="y2:Q")
    return [
        base.mark_rule(color="black", strokeWidth=4, strokeCap="square"),
        base.mark_rule(color="white", strokeWidth=1.6, strokeDash=[4, 2]),
    ]


def _crosses(only: str) -> list[Any]:
    base = alt.Chart(named("peaks")).transform_filter(only).encode(x="column:Q", y="row:Q")
    return [
        base.mark_point(shape="cross", angle=45, filled=True, size=170, color="black"),
        base.mark_point(shape="cross", angle=45, filled=True, size=80, color="white"),
    ]
