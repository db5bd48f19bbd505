"""Which features there are, which of them are families, and which branch holds each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.branches import Branch
from interp_bench.planting.dictionaries.rates import Forest

_HOST_SHARE = 8
"""One hidden unit in so many of the middle branch stays with the host."""

_CHILD_SHARE = 0.3
"""Most of its parent's firing that a child may take."""

SIBLINGS = 2
"""Children of a parent: their detectors are opposites, so that no input is above both thresholds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Features by number and by branch.

    Attributes:
        forest: parents first, then their pairs of children, then features without a family.
        rates: (n,) wanted firing rate of each feature.
        own: (n,) firing rate of the unit that is the feature's own. A parent's own unit fires less
            than the parent, which also fires with each of its children.
        members: for each branch, the features (k,) in ascending order that its units hold.
    """

    forest: Forest
    rates: Tensor
    own: Tensor
    members: tuple[Tensor, ...]

    @property
    def mirrored(self) -> Tensor:
        """(n,) bool: whether a feature is the second child of its parent."""
        second = torch.zeros(len(self.rates), dtype=torch.bool)
        second[self.forest.roots + 1 : self.forest.n_in_trees : SIBLINGS] = True
        return second


def lay_out(rates: Tensor, hierarchy: float, branches: list[Branch]) -> Layout:
    """Share features out among branches, families undivided.

    Args:
        rates: (n,) firing rates, falling; children get less where their parent is rare.
        hierarchy: share of features that are children.
        branches: the middle one first.

    Raises:
        PlantingError: the share leaves too few parents, or a family finds no branch with room.
    """
    n = len(rates)
    if not 0 <= hierarchy <= SIBLINGS / (SIBLINGS + 1):
        raise PlantingError(
            f"hierarchy is {hierarchy:g}; with {SIBLINGS} children each, at most "
            f"{SIBLINGS / (SIBLINGS + 1):.2f} of the features can be children"
        )
    forest = Forest(n_features=n, roots=int(hierarchy * n / SIBLINGS), branching=SIBLINGS, depth=1)
    wanted, own = _family_rates(rates, forest)
    return Layout(forest=forest, rates=wanted, own=own, members=_shared_out(forest, branches))


def _family_rates(rates: Tensor, forest: Forest) -> tuple[Tensor, Tensor]:
    """Return wanted rates, and those of each feature's own unit, whose firing is taken as independent."""
    wanted, own = rates.clone(), rates.clone()
    for above, below in forest.levels:
        most = _CHILD_SHARE * rates[above].repeat_interleave(forest.branching)
        wanted[below] = torch.minimum(rates[below], most)
        own[below] = wanted[below]
        taken = wanted[below].view(-1, forest.branching).sum(1)
        own[above] = (rates[above] - taken) / (1 - taken)
    return wanted, own


def _shared_out(forest: Forest, branches: list[Branch]) -> tuple[Tensor, ...]:
    """Fill the branch with the most room each time: families first, then features alone."""
    free = [room(branch, i) for i, branch in enumerate(branches)]
    members: list[list[int]] = [[] for _ in branches]
    first = forest.roots
    families = [[p, *range(first + SIBLINGS * p, first + SIBLINGS * (p + 1))] for p in range(forest.roots)]
    for family in [*families, *([f] for f in range(forest.n_in_trees, forest.n_features))]:
        most = max(range(len(free)), key=lambda i: free[i])
        if free[most] < len(family):
            raise PlantingError(f"no branch has room for a family of {len(family)}; lower ratio or hierarchy")
        free[most] -= len(family)
        members[most] += family
    return tuple(torch.tensor(sorted(held)) for held in members)


def room(branch: Branch, index: int) -> int:
    """Return how many units features may take: all but an eighth, or all where the branch is made quiet."""
    return branch.n_units if index else branch.n_units - -(-branch.n_units // _HOST_SHARE)


def enough(stacks: Iterable[list[Branch]], n: int, width: int) -> list[Branch]:
    """Return the lower part of the first stack that has room for ``n`` features.

    Raises:
        PlantingError: none has; the message says how much room there is.
    """
    places = 0
    for stack in stacks:
        rooms = [room(branch, index) for index, branch in enumerate(stack)]
        for height in range(1, len(stack) + 1):
            places = max(places, sum(rooms[:height]))
            if sum(rooms[:height]) >= n:
                return stack[:height]
    raise PlantingError(
        f"hidden units have room for {places} features, not {n}; ratio can be {places / width:.2f} at most"
    )
