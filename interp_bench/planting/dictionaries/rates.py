"""How often features fire, and which of them need another to fire first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from interp_bench.errors import PlantingError


def zipf_rates(n: int, p_hi: float, p_lo: float, exponent: float) -> Tensor:
    """Return firing rates (n,), the commonest first: ``rank ** -exponent``, stretched onto the bounds.

    Args:
        n: number of features.
        p_hi: rate of the first.
        p_lo: rate of the last.
        exponent: of Zipf's law; 0 spaces rates evenly on a log scale instead.

    Raises:
        PlantingError: the bounds are no rates in order, or the exponent is negative.
    """
    if not 0 < p_lo <= p_hi < 1:
        raise PlantingError(f"firing rates must obey 0 < p_lo <= p_hi < 1, not p_lo={p_lo:g}, p_hi={p_hi:g}")
    if exponent < 0:
        raise PlantingError(f"the Zipf exponent is {exponent:g}; it must not be negative")
    if n == 1:
        return torch.tensor([p_hi], dtype=torch.float64)
    if exponent == 0:
        return torch.exp(torch.linspace(math.log(p_hi), math.log(p_lo), n, dtype=torch.float64))
    law = torch.arange(1, n + 1, dtype=torch.float64) ** -exponent
    return p_lo + (p_hi - p_lo) * (law - law[-1]) / (law[0] - law[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Complete trees over the first features, numbered level by level; the features after them have no tree.

    Attributes:
        n_features: of all features, in trees and outside.
        roots: number of trees.
        branching: children of every feature above the last level.
        depth: levels below the roots.
    """

    n_features: int
    roots: int
    branching: int
    depth: int

    def __post_init__(self) -> None:
        if min(self.roots, self.depth) < 0 or self.branching < 1:
            raise PlantingError(f"{self.roots} trees of branching {self.branching}, depth {self.depth}")
        if self.n_in_trees > self.n_features:
            raise PlantingError(
                f"{self.roots} trees of branching {self.branching} and depth {self.depth} take "
                f"{self.n_in_trees} features, there are {self.n_features}"
            )

    @property
    def n_in_trees(self) -> int:
        """Features in trees."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        return [self.roots * self.branching**level for level in range(self.depth + 1)]

    @property
    def levels(self) -> list[tuple[slice, slice]]:
        """For each level below the roots, the features of the level above and its own.

        The children of a feature follow each other, in the order of their parents.
        """
        starts = [sum(self._sizes[:level]) for level in range(self.depth + 2)]
        spans = [slice(a, b) for a, b in pairwise(starts)]
        return [(above, below) for above, below in pairwise(spans) if below.stop > below.start]

    @property
    def parents(self) -> Tensor:
        """(n_features,) the parent of each feature, -1 where it has none."""
        parents = torch.full((self.n_features,), -1)
        for above, below in self.levels:
            parents[below] = torch.arange(above.start, above.stop).repeat_interleave(self.branching)
        return parents

    def compensated(self, rates: Tensor) -> Tensor:
        """Return rates (n,) before trees are obeyed, such that after it about ``rates`` are left.

        A child's rate is divided by its parent's, and multiplied by one plus the number of siblings
        that are expected to compete with it. A rate that would have to be above 1 is 1.
        """
        raised = rates.clone()
        for above, below in self.levels:
            given = rates[below].view(-1, self.branching) / rates[above][:, None]
            rivals = given.sum(1, keepdim=True) - given
            raised[below] = (given * (1 + rivals)).flatten().clamp(max=1)
        return raised
