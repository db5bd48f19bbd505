"""Cells: the trials of one technique on one task and one model, over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from interp_bench.analysis.stats import Interval, t_interval
from interp_bench.harness.trial import STATUSES, Role, Status, Trial

FAILING: frozenset[Status] = frozenset({"failed", "timed_out", "out_of_memory", "crashed"})
"""Outcomes that a technique answers for: they count as skill 0, so that failing gains no rank."""

ROLES: tuple[Role, ...] = ("ceiling", "technique", "floor")
"""Roles in the order of every table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One technique on one task and one model, over all seeds.

    Attributes:
        technique, track, task, model: what was tried, by bare names.
        role: ``ceiling``, ``technique`` or ``floor``.
        params, modality, ladder: facts about the model.
        trials: one a seed, by seed.
        measured: skill over the seeds that gave an answer; None when none did.
        ranked: the same with failing seeds at 0; None when every seed was skipped or invalid,
            since what is missing is never zero.
        statuses: how many seeds ended in each status, only those that occur.
    """

    technique: str
    track: str
    task: str
    model: str
    role: Role
    params: int
    modality: str
    ladder: str
    trials: tuple[Trial, ...]
    measured: Interval | None
    ranked: Interval | None
    statuses: Mapping[Status, int]

    @property
    def place(self) -> tuple[str, str, str]:
        """Track, task and model: what cells of different techniques share."""
        return (self.track, self.task, self.model)


def cells_of(trials: Iterable[Trial]) -> tuple[Cell, ...]:
    """Group trials into cells, sorted by track, task, model size, role and technique.

    Where two trials answer the same question, the one that started later counts. Negative controls are
    no part of any cell; see ``analysis.controls``.
    """
    return cells_of_newest(newest(trials))


def cells_of_newest(trials: Iterable[Trial]) -> tuple[Cell, ...]:
    """Group trials as ``cells_of`` does, where ``newest`` has been at them."""
    grouped: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in without_controls(trials):
        grouped.setdefault((trial.technique_id, trial.task_id, trial.model), []).append(trial)
    cells = [_cell(group) for group in grouped.values()]
    return tuple(sorted(cells, key=_order))


def newest(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Keep one trial for each technique, task, model, seed and control: the one that started last."""
    kept: dict[tuple[str, str, str, int, str], Trial] = {}
    for trial in sorted(trials, key=_age):
        other = kept.get(trial.cell)
        # Of two that are equally new one is kept whatever their order, so that the page stays the same.
        if other is None or _age(other) < _age(trial) or other.model_dump_json() < trial.model_dump_json():
            kept[trial.cell] = trial
    return tuple(kept[cell] for cell in sorted(kept))


def _age(trial: Trial) -> tuple[str, str, str]:
    return (trial.provenance.started_at, trial.run_id, trial.key)


def without_controls(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return the trials on planted problems."""
    return tuple(trial for trial in trials if not trial.control)


def rank_value(trial: Trial) -> float | None:
    """Return what a trial counts for: its skill, 0 when it failed, None when it says nothing."""
    if trial.status == "ok":
        return trial.skill
    return 0.0 if trial.status in FAILING else None


def statuses_of(trials: Iterable[Trial]) -> Mapping[Status, int]:
    """Count the statuses that occur, in the order of ``STATUSES``."""
    counts = Counter(trial.status for trial in trials)
    return MappingProxyType({status: counts[status] for status in STATUSES if counts[status]})


def _cell(trials: list[Trial]) -> Cell:
    first = trials[0]
    skills = [trial.skill for trial in trials if trial.status == "ok" and trial.skill is not None]
    values = [value for value in map(rank_value, trials) if value is not None]
    measured = t_interval(skills) if skills else None
    return Cell(
        technique=first.technique,
        track=first.track,
        task=first.task,
        model=first.model,
        role=first.role,
        params=first.params,
        modality=first.modality,
        ladder=first.ladder,
        trials=tuple(trials),
        measured=measured,
        ranked=measured if values == skills else (t_interval(values) if values else None),
        statuses=statuses_of(trials),
    )


def _order(cell: Cell) -> tuple[str, str, int, str, int, str]:
    return (cell.track, cell.task, cell.params, cell.model, ROLES.index(cell.role), cell.technique)
