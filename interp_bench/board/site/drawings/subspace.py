"""The site and the subspace of an answer beside those that carry the variable."""

from __future__ import annotations

from functools import cache
from typing import Any

import altair as alt

from interp_bench.board.site.drawings.ink import AGREES, MISSED, Drawing, filled, named, spec_of
from interp_bench.harness.snapshots.stored import Subspace

_WIDTH = 200


def draw(content: Subspace) -> Drawing:
    """Draw the sites, and the angles between the two subspaces at the site of the answer."""
    sites = [
        {"site": site.name, "what": what}
        for site in content.sites
        for what, present in (("planted", site.planted > 0), ("answer", site.name == content.chosen))
        if present
    ]
    planted = {site.name: site.planted for site in content.sites}[content.chosen]
    angles = [*content.cosines, *[0.0] * (planted - len(content.cosines))]
    pairs = [{"pair": i + 1, "cosine": cosine} for i, cosine in enumerate(angles)]
    return Drawing(
        title="Site and subspace",
        caption="Left, sites in order of depth: a ring where the variable was planted, a dot where the "
        f"answer says it is. Right, at the site of the answer, the cosine of each principal angle between "
        f"the answer ({content.n_directions} of {content.width} directions) and the {planted} planted "
        f"directions: {_words(content, planted)}",
        alt=_alt(content, planted),
        spec=filled(
            _spec(len(pairs) or 1),
            names=[{"site": site.name} for site in content.sites],
            sites=sites,
            pairs=pairs,
        ),
    )


def _words(content: Subspace, planted: int) -> str:
    if not planted:
        return "none is carried here."
    beyond = content.n_directions - planted
    words = "1 is found, 0 is missed."
    if beyond > 0:
        return f"{words} {beyond} more are in the answer."
    return f"{words} What tells n values apart takes n - 1 directions." if beyond == -1 else words


def _alt(content: Subspace, planted: int) -> str:
    if not planted:
        return f"The answer names {content.chosen}, where nothing of the variable is carried."
    listed = ", ".join(f"{cosine:.2f}" for cosine in content.cosines)
    return (
        f"The answer names {content.chosen}, which carries the variable in {planted} directions; its own "
        f"{content.n_directions} meet them with cosines {listed}."
    )


@cache
def _spec(n_pairs: int) -> dict[str, Any]:
    rows = alt.Y("site:N", sort=None, title=None, axis=alt.Axis(labelLimit=190, grid=True))
    columns = alt.X(
        "what:N", sort=["planted", "answer"], title=None, axis=alt.Axis(labelAngle=0, orient="top")
    )
    # Every site gets its row, also where there is nothing to draw.
    frame = alt.Chart(named("names")).mark_point(opacity=0).encode(y=rows)
    base = alt.Chart(named("sites")).encode(x=columns, y=rows)
    rings = base.transform_filter("datum.what === 'planted'").mark_point(
        shape="circle", filled=False, size=170, strokeWidth=2.5, color=MISSED, opacity=1
    )
    dots = base.transform_filter("datum.what === 'answer'").mark_point(
        shape="circle", filled=True, size=190, color=AGREES, opacity=1
    )
    where = alt.layer(frame, rings, dots).properties(width=150, height=alt.Step(22))
    bars = (
        alt.Chart(named("pairs"))
        .mark_bar(color=AGREES)
        .encode(
            x=alt.X("pair:O", title="planted direction", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("cosine:Q", title="cosine", scale=alt.Scale(domain=[0, 1])),
        )
        .properties(width=max(_WIDTH, 16 * n_pairs), height=180)
    )
    return spec_of(alt.hconcat(where, bars, spacing=30))
