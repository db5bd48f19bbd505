"""Tokens of a trigger beside the planted ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

from interp_bench.board.site.drawings.ink import AGREES, MISSED, Drawing, filled, named, share_text, spec_of
from interp_bench.harness.snapshots.stored import Phrase


def draw(content: Phrase) -> Drawing:
    """Draw a row for each planted part, and a column for each found token."""
    parts = [
        {
            "part": f"part {i + 1}: {' or '.join(map(str, part))}",
            "met": bool(set(part) & set(content.found)),
        }
        for i, part in enumerate(content.planted)
    ]
    places = [
        {"part": parts[i]["part"], "place": f"{j + 1}: {token}", "fits": token in part}
        for i, part in enumerate(content.planted)
        for j, token in enumerate(content.found)
    ]
    met = sum(bool(part["met"]) for part in parts)
    return Drawing(
        title="Trigger beside the planted one",
        caption="A row is a part of the planted trigger with the tokens that spell it, a column a token that "
        "was found. A filled square: the token spells the part; a row of empty circles: no token does.",
        alt=f"The found tokens spell {share_text(met, len(parts), 'planted part')}.",
        spec=filled(_spec(), places=places),
    )


@cache
def _spec() -> dict[str, Any]:
    base = alt.Chart(named("places")).encode(
        x=alt.X("place:N", title="token found", sort=None, axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("part:N", title=None, sort=None, axis=alt.Axis(labelLimit=260)),
    )
    truth = [True, False]
    marks = base.mark_point(filled=True, opacity=1, strokeWidth=1.5).encode(
        shape=alt.Shape("fits:O", scale=alt.Scale(domain=truth, range=["square", "circle"]), legend=None),
        size=alt.Size("fits:O", scale=alt.Scale(domain=truth, range=[380, 90]), legend=None),
        stroke=alt.Stroke("fits:O", scale=alt.Scale(domain=truth, range=[AGREES, MISSED]), legend=None),
        fill=alt.Fill("fits:O", scale=alt.Scale(domain=truth, range=[AGREES, "transparent"]), legend=None),
    )
    return spec_of(marks.properties(width=alt.Step(70), height=alt.Step(36)))
