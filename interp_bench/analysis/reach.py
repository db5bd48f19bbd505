"""Reach: on which rungs of a ladder a technique works, and where that ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import Cell, rank_value
from interp_bench.analysis.stats import Interval, mean, t_interval

WORKS = 0.5
"""A technique works on a model when the lower bound of its skill is at least this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One model of a ladder, with the skill of one technique on it.

    Attributes:
        model: its id.
        params: its parameters.
        skill: interval over seeds; each seed is the mean over the tasks of the track.
    """

    model: str
    params: int
    skill: Interval

    @property
    def works(self) -> bool:
        """Whether the lower bound of skill is at least ``WORKS``."""
        return self.skill.low >= WORKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """One technique on one ladder.

    Attributes:
        technique, track, ladder: what and where.
        rungs: the models it was scored on, smallest first; models without a score are absent.
    """

    technique: str
    track: str
    ladder: str
    rungs: tuple[Rung, ...]

    @property
    def working(self) -> tuple[Rung, ...]:
        """The rungs on which it works."""
        return tuple(rung for rung in self.rungs if rung.works)

    @property
    def smallest(self) -> Rung | None:
        """The smallest model on which it works, or None."""
        return self.working[0] if self.working else None

    @property
    def largest(self) -> Rung | None:
        """The largest model on which it works, or None."""
        return self.working[-1] if self.working else None

    @property
    def contiguous(self) -> bool:
        """Whether it works on every scored rung between the smallest and the largest."""
        first_to_last = [index for index, rung in enumerate(self.rungs) if rung.works]
        return not first_to_last or first_to_last[-1] - first_to_last[0] + 1 == len(first_to_last)

    @property
    def edge(self) -> tuple[int, int] | None:
        """Parameters between which it stops working upwards.

        None when it works nowhere, or still works on the largest scored model: then no edge was seen.
        """
        largest = self.largest
        if largest is None or largest is self.rungs[-1]:
            return None
        return largest.params, self.rungs[self.rungs.index(largest) + 1].params

    @property
    def decidable(self) -> bool:
        """Whether any rung has two seeds, without which no lower bound exists."""
        return any(rung.skill.bounded for rung in self.rungs)


def reaches_of(cells: Iterable[Cell]) -> tuple[Reach, ...]:
    """Return the reach of each technique on each ladder, sorted by track, technique and ladder."""
    ladders: dict[tuple[str, str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell.ladder and cell.ranked is not None:
            models = ladders.setdefault((cell.track, cell.technique, cell.ladder), {})
            models.setdefault(cell.model, []).append(cell)
    return tuple(
        Reach(technique=technique, track=track, ladder=ladder, rungs=_rungs(models))
        for (track, technique, ladder), models in sorted(ladders.items())
    )


def skill_over_seeds(cells: Iterable[Cell]) -> Interval | None:
    """Return the skill on just these tasks and models: each seed is the mean over them, failing trials at 0.

    It says nothing of other models; see ``standings.ranked_over_models`` for what does. None without a
    score.
    """
    values = _by_seed(cells)
    return t_interval(values) if values else None


def _rungs(models: dict[str, list[Cell]]) -> tuple[Rung, ...]:
    rungs = [
        Rung(model=model, params=cells[0].params, skill=t_interval(_by_seed(cells)))
        for model, cells in models.items()
    ]
    return tuple(sorted(rungs, key=lambda rung: (rung.params, rung.model)))


def _by_seed(cells: Iterable[Cell]) -> list[float]:
    """Average over tasks within each seed, so that a rung's values are independent draws."""
    values: dict[int, list[float]] = {}
    for trial in (trial for cell in cells for trial in cell.trials):
        value = rank_value(trial)
        if value is not None:
            values.setdefault(trial.seed, []).append(value)
    return [mean(values[seed]) for seed in sorted(values)]
