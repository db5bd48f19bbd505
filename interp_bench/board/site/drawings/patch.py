"""A patch beside the planted one."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

from interp_bench.board.site.drawings.ink import Drawing, cells, filled, spec_of, squares
from interp_bench.harness.snapshots.stored import Patch

_SIDE = 144


def draw(content: Patch) -> Drawing:
    """Draw the two side by side."""
    rows = [
        {"row": i, "planted": a, "found": b}
        for i, (a, b) in enumerate(zip(content.planted, content.found, strict=True))
    ]
    width, height = len(content.planted[0]) // 3, len(content.planted)
    agreeing = sum(
        (int(a, 16) > 7) == (int(b, 16) > 7)
        for a, b in zip("".join(content.planted), "".join(content.found), strict=True)
    )
    share = agreeing / (3 * width * height)
    return Drawing(
        title="Trigger beside the planted one",
        caption="Left the planted patch, right the one that was found; a patch is added to the image, and "
        f"grey is zero. {share:.0%} of the colour values have the sign of the planted one (half is chance).",
        alt=f"A found patch of {width} by {height} pixels beside the planted one: {share:.0%} of its colour "
        "values have the same sign, where half is chance.",
        spec=filled(_spec(width, height), rows=rows),
    )


@cache
def _spec(width: int, height: int) -> dict[str, Any]:
    scale = max(1, _SIDE // width)
    panels = [
        squares(cells("rows", field, width), width, height, scale)
        .transform_calculate(color="'#' + datum.digits")
        .encode(color=alt.Color("color:N", scale=None))
        .properties(title=title)
        for field, title in (("planted", "Planted"), ("found", "Found"))
    ]
    return spec_of(alt.hconcat(*panels, spacing=24))
