"""Edges: the size at which a technique stops working on a ladder, with an interval of sizes.

The bounds come from the intervals of the rungs, turned around as Fieller (1954) does for ratios: a size
is outside where the skill there is above or below one half with 95% confidence. A bootstrap over seeds is
not used: three seeds have ten different resamples, and BCa needs the spread that they lack.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from interp_bench.analysis.reach import WORKS, Reach, Rung

Sight = Literal["seen", "beyond", "below"]
"""Whether the edge lies between rungs, past the largest rung, or before the smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Where the mean skill of one technique last falls through one half on one ladder.

    Attributes:
        technique, track, ladder: what and where.
        sight: ``seen``; ``beyond`` where the mean is at least one half on the largest rung; ``below``
            where it is on none.
        crossing: parameters where the straight line between the two rungs, over the logarithm of
            parameters, is one half; None unless seen.
        low: the largest rung up to there that works beyond doubt; None where none does.
        high: the smallest rung from there on that does not work beyond doubt; None where none is so.
    """

    technique: str
    track: str
    ladder: str
    sight: Sight
    crossing: float | None
    low: int | None
    high: int | None


def edges_of(reaches: Iterable[Reach]) -> tuple[Edge, ...]:
    """Return the edge of each reach of at least two sizes, in their order."""
    return tuple(_edge(reach) for reach in reaches if len({rung.params for rung in reach.rungs}) > 1)


def _edge(reach: Reach) -> Edge:
    rungs = reach.rungs
    good = [index for index, rung in enumerate(rungs) if rung.skill.mean >= WORKS]
    last = good[-1] if good else -1
    up_to, after = rungs[: last + 1], rungs[last + 1 :]
    sure = [rung.params for rung in up_to if rung.works]
    failing = [rung.params for rung in after if rung.skill.high < WORKS]
    seen = bool(up_to and after)
    return Edge(
        technique=reach.technique,
        track=reach.track,
        ladder=reach.ladder,
        sight="seen" if seen else ("beyond" if up_to else "below"),
        crossing=_crossing(up_to[-1], after[0]) if seen else None,
        low=sure[-1] if sure else None,
        high=failing[0] if failing else None,
    )


def _crossing(before: Rung, after: Rung) -> float:
    part = (before.skill.mean - WORKS) / (before.skill.mean - after.skill.mean)
    return float(before.params ** (1 - part) * after.params**part)
