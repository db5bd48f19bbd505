"""Complete rows: the techniques and places that can be compared, since each was scored at each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)

SHARE = 0.25
"""A place counts only where at least this share of the techniques was scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A technique without a complete row.

    Attributes:
        technique: its name.
        places: at how many places of the block it was not scored.
    """

    technique: str
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Generic[P]):
    """Techniques by places without a gap.

    Attributes:
        techniques: those scored at every place, sorted.
        places: sorted.
        share: the smallest share of all techniques that was scored at any of the places.
        left_out: the other techniques, sorted by name.
        passed_over: how many places some technique was scored at that are none of the block.
    """

    techniques: tuple[str, ...]
    places: tuple[P, ...]
    share: float
    left_out: tuple[Missing, ...]
    passed_over: int


def largest_block(scored: Mapping[str, Set[P]]) -> Block[P]:
    """Return the block of most cells among those of the places that some share of techniques has.

    For every share from ``SHARE`` up to all of them: the places where so many techniques were scored,
    and the techniques scored at all of these. The block with most cells wins; of two with as many, the
    one of more techniques. Nobody chooses the share, so nobody can choose it in favour of a technique.

    Args:
        scored: the places at which each technique was scored.
    """
    scored = {name: places for name, places in scored.items() if places}
    counts: dict[P, int] = {}
    for places in scored.values():
        for place in places:
            counts[place] = counts.get(place, 0) + 1
    best: tuple[int, int] = (0, 0)
    chosen: tuple[set[P], set[str], int] = (set(), set(), 0)
    for least in sorted({count for count in counts.values() if count >= SHARE * len(scored)}):
        places = {place for place, count in counts.items() if count >= least}
        techniques = {name for name, held in scored.items() if places <= held}
        size = (len(techniques) * len(places), len(techniques))
        if size > best:
            best, chosen = size, (places, techniques, least)
    places, techniques, least = chosen
    return Block(
        techniques=tuple(sorted(techniques)),
        places=tuple(sorted(places, key=repr)),
        share=least / len(scored) if scored else 0.0,
        left_out=tuple(
            Missing(technique=name, places=len(places - scored[name]))
            for name in sorted(set(scored) - techniques)
        ),
        passed_over=len(counts) - len(places),
    )
