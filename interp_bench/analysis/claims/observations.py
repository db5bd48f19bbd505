"""Cells as rows of numbers: which of them a claim looks at, and the grid that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from interp_bench.analysis.cells import FAILING, Cell
from interp_bench.analysis.claims.base import Evidence, ModelFacts
from interp_bench.analysis.claims.crossed import Floats, Grid, Ints, grid_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One number of one technique on one task and one model.

    Attributes:
        technique, task: ids with their track.
        group: within which models are compared, e.g. a ladder.
        model: facts about the model.
        value: the number.
        failed: whether some of its trials failed, which count as skill 0.
    """

    technique: str
    task: str
    group: str
    model: ModelFacts
    value: float
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Observations in which every series has two models or more.

    Attributes:
        observations: sorted.
        grid: their indices; models as in ``models``.
        models: by group, parameters and id.
        groups: of each model.
        ladders: index of each model's ladder.
        values: one an observation.
    """

    observations: tuple[Observation, ...]
    grid: Grid
    models: tuple[ModelFacts, ...]
    groups: tuple[str, ...]
    ladders: Ints
    values: Floats

    @property
    def techniques(self) -> int:
        """How many techniques there are."""
        return self.grid.techniques


def skill_of(cell: Cell) -> float | None:
    """Return the mean skill of a cell, failing seeds at 0; None where it says nothing."""
    return None if cell.ranked is None else cell.ranked.mean


def observe(
    evidence: Evidence,
    wanted: Callable[[ModelFacts], bool],
    *,
    value: Callable[[Cell], float | None] = skill_of,
    group: Callable[[ModelFacts], str] = lambda facts: facts.ladder,
) -> tuple[Observation, ...]:
    """Return an observation for each cell of a technique on a model that is wanted, sorted.

    Args:
        evidence: the cells and the facts of their models.
        wanted: whether a model takes part.
        value: the number of a cell; None leaves it out.
        group: within which a model is compared; an empty name leaves it out.
    """
    found = []
    for cell in evidence.cells:
        facts = evidence.facts[cell.model]
        if cell.role != "technique" or not group(facts) or not wanted(facts):
            continue
        number = value(cell)
        if number is not None:
            found.append(
                Observation(
                    technique=f"{cell.track}/{cell.technique}",
                    task=f"{cell.track}/{cell.task}",
                    group=group(facts),
                    model=facts,
                    value=number,
                    failed=not FAILING.isdisjoint(cell.statuses),
                )
            )
    return tuple(sorted(found, key=_order))


def board_of(observations: Iterable[Observation]) -> Board | None:
    """Return the board of observations, or None where no series has two models."""
    observations = tuple(observations)
    lengths = Counter(map(_series, observations))
    kept = tuple(one for one in observations if lengths[_series(one)] > 1)
    if not kept:
        return None
    pairs = sorted({(one.group, one.model) for one in kept}, key=_model_order)
    ladders, series, techniques = (
        sorted({facts.ladder for _, facts in pairs}),
        sorted({_series(one) for one in kept}),
        sorted({one.technique for one in kept}),
    )
    grid = grid_of(
        _indices([one.technique for one in kept], techniques),
        _indices([_series(one) for one in kept], series),
        _indices([(one.group, one.model) for one in kept], pairs),
    )
    return Board(
        observations=kept,
        grid=grid,
        models=tuple(facts for _, facts in pairs),
        groups=tuple(group for group, _ in pairs),
        ladders=_indices([facts.ladder for _, facts in pairs], ladders),
        values=np.array([one.value for one in kept]),
    )


def _indices(items: Sequence[Hashable], known: Sequence[Hashable]) -> Ints:
    place = {item: index for index, item in enumerate(known)}
    return np.array([place[item] for item in items], dtype=np.int64)


def _series(one: Observation) -> tuple[str, str, str]:
    return (one.technique, one.task, one.group)


def _order(one: Observation) -> tuple[str, str, str, int, str]:
    return (*_series(one), one.model.params, one.model.id)


def _model_order(pair: tuple[str, ModelFacts]) -> tuple[str, int, str]:
    group, facts = pair
    return (group, facts.params, facts.id)
