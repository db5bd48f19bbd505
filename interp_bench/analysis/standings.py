"""Standings: each technique's row on a track, from all of its cells."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from interp_bench.analysis.cells import FAILING, ROLES, Cell, statuses_of
from interp_bench.analysis.reach import Reach, reaches_of
from interp_bench.analysis.stats import Interval, mean, t_interval
from interp_bench.harness.trial import Role, Status, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call of a technique took: medians over its answers.

    Attributes:
        seconds: wall clock.
        forwards, backwards: passes through the model.
        peak_memory_mb: memory above the idle planted model, MiB.
    """

    seconds: float
    forwards: float
    backwards: float
    peak_memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One technique's row on one track.

    Attributes:
        technique, track, role: who and where.
        skill: mean over models with Student's t interval over the means of the models, since seeds
            and tasks on one model are not independent; of answers alone. None when it never gave one.
        ranked: the same with failing trials at 0, the floor, so that failing gains no rank; trials that
            were skipped or invalid count nowhere. None when the technique was scored nowhere.
        by_modality: ``ranked`` within each modality.
        models: on how many models ``ranked`` rests.
        cells: on how many task x model cells ``ranked`` rests.
        answered: on how many of them ``skill`` rests; in the others every trial failed.
        places: how many task x model places the track has for any technique; what is missing to it did not
            apply, was skipped, or could not be certified.
        reaches: its reach on each ladder.
        cost: None when it never gave an answer.
        statuses: how many trials ended in each status.
    """

    technique: str
    track: str
    role: Role
    skill: Interval | None
    ranked: Interval | None
    by_modality: Mapping[str, Interval]
    models: int
    cells: int
    answered: int
    places: int
    reaches: tuple[Reach, ...]
    cost: Cost | None
    statuses: Mapping[Status, int]

    @property
    def failures(self) -> int:
        """How many trials failed, each counted as skill 0."""
        return sum(count for status, count in self.statuses.items() if status in FAILING)


def standings_of(cells: Iterable[Cell], *, reach: bool = True) -> dict[str, tuple[Standing, ...]]:
    """Return the rows of each track: ceiling, techniques by falling rank, floor; unscored ones last.

    Args:
        cells: any.
        reach: look at ladders too; where that is not asked for, rows have no reaches.
    """
    rows: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        rows.setdefault(cell.track, {}).setdefault(cell.technique, []).append(cell)
    found = {}
    for track in sorted(rows):
        places = _places(rows[track])
        standings = [_standing(group, places, reach=reach) for group in rows[track].values()]
        found[track] = tuple(sorted(standings, key=_order))
    return found


def ranked_over_models(cells: Iterable[Cell]) -> Interval | None:
    """Return the mean over models with failing trials at 0; None without a scored cell."""
    return _over_models((cell.model, cell.ranked) for cell in cells)


def skill_over_models(cells: Iterable[Cell]) -> Interval | None:
    """Return the mean over models of answers alone; None without an answer."""
    return _over_models((cell.model, cell.measured) for cell in cells)


def _over_models(cells: Iterable[tuple[str, Interval | None]]) -> Interval | None:
    """Return the mean over models, each the mean of its cells, of those that have a value."""
    models: dict[str, list[float]] = {}
    for model, value in cells:
        if value is not None:
            models.setdefault(model, []).append(value.mean)
    means = [mean(models[model]) for model in sorted(models)]
    return t_interval(means) if means else None


def _places(rows: Mapping[str, list[Cell]]) -> int:
    return len({cell.place for cells in rows.values() for cell in cells})


def _standing(cells: list[Cell], places: int, *, reach: bool) -> Standing:
    first = cells[0]
    scored = [cell for cell in cells if cell.ranked is not None]
    trials = [trial for cell in cells for trial in cell.trials]
    modalities = sorted({cell.modality for cell in scored}, reverse=True)
    by_modality = {m: ranked_over_models(c for c in scored if c.modality == m) for m in modalities}
    return Standing(
        technique=first.technique,
        track=first.track,
        role=first.role,
        skill=skill_over_models(cells),
        ranked=ranked_over_models(cells),
        by_modality=MappingProxyType({m: skill for m, skill in by_modality.items() if skill is not None}),
        models=len({cell.model for cell in scored}),
        cells=len(scored),
        answered=sum(cell.measured is not None for cell in cells),
        places=places,
        reaches=reaches_of(scored) if reach else (),
        cost=_cost(trials),
        statuses=statuses_of(trials),
    )


def _cost(trials: list[Trial]) -> Cost | None:
    answered = [trial for trial in trials if trial.status == "ok"]
    if not answered:
        return None
    return Cost(
        seconds=statistics.median(trial.seconds for trial in answered),
        forwards=statistics.median(trial.forwards for trial in answered),
        backwards=statistics.median(trial.backwards for trial in answered),
        peak_memory_mb=statistics.median(trial.peak_memory_mb for trial in answered),
    )


def _order(row: Standing) -> tuple[int, bool, float, str]:
    mean = 0.0 if row.ranked is None else row.ranked.mean
    return (ROLES.index(row.role), row.ranked is None, -mean, row.technique)
