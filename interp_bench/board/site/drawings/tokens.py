"""Saliency over the tokens of texts, with planted tokens framed."""

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
from interp_bench.harness.snapshots.stored import TokenExample, Tokens


def draw(content: Tokens) -> Drawing:
    """Draw one row a text."""
    records = [
        {
            "text": n + 1,
            "position": position,
            "token": token,
            "planted": sign == "#",
            "saliency": round(share / 255, 3),
        }
        for n, one in enumerate(content.examples)
        for position, (token, sign, share) in enumerate(
            zip(one.tokens, one.planted, bytes.fromhex(one.saliency), strict=True)
        )
    ]
    hits = sum(_hit(one) for one in content.examples)
    return Drawing(
        title="Saliency over tokens",
        caption="One row a text, one column a position. A frame is a planted token; the area of a filled "
        "square is how salient the technique holds a token, against the most salient of the same text.",
        alt=f"The most salient token is a planted one in {share_text(hits, len(content.examples), 'text')}.",
        spec=filled(_spec(), tokens=records),
    )


def _hit(one: TokenExample) -> bool:
    shares = bytes.fromhex(one.saliency)
    top = [sign for sign, share in zip(one.planted, shares, strict=True) if share == max(shares)]
    return set(top) == {"#"}


@cache
def _spec() -> dict[str, Any]:
    base = alt.Chart(named("tokens")).encode(
        x=alt.X("position:O", title="position", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("text:O", title="text", axis=alt.Axis(domain=False, ticks=False)),
        tooltip=["text:O", "position:O", "token:O", "saliency:Q", "planted:N"],
    )
    found = base.mark_point(shape="square", filled=True, opacity=1).encode(
        size=alt.Size("saliency:Q", scale=alt.Scale(domain=[0, 1], range=[0, 230]), legend=None),
        color=alt.Color(
            "planted:N", scale=alt.Scale(domain=[True, False], range=[AGREES, WRONG]), legend=None
        ),
    )
    frames = base.transform_filter("datum.planted").mark_point(
        shape="square", filled=False, size=420, strokeWidth=2.2, color=MISSED, opacity=1
    )
    return spec_of(alt.layer(found, frames).properties(width=alt.Step(24), height=alt.Step(24)))
