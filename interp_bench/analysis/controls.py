"""False discovery: what techniques report of a plant that they were not shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from interp_bench.analysis.cells import ROLES, newest
from interp_bench.analysis.stats import Interval, mean, t_interval
from interp_bench.harness.trial import CONTROLS, Control, Role, Trial

FALSE = 0.1
"""A technique finds what is not there when the lower bound of its skill on a control is above this."""

Problem = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseDiscovery:
    """One technique on the negative controls of one track.

    Attributes:
        technique, track, role: who and where.
        planted: mean skill on the planted problems of the controls, for comparison; None when it was
            not scored there.
        skills: skill on each control over its trials, with Student's t interval; a control that gave no
            answer is absent, since a crash reports nothing.
    """

    technique: str
    track: str
    role: Role
    planted: float | None
    skills: Mapping[Control, Interval]

    @property
    def found(self) -> tuple[Control, ...]:
        """The controls on which it finds what is not there."""
        return tuple(control for control, skill in self.skills.items() if skill.low > FALSE)

    @property
    def decidable(self) -> bool:
        """Whether any control has two trials, without which no lower bound exists."""
        return any(skill.bounded for skill in self.skills.values())


def false_discoveries_of(trials: Iterable[Trial]) -> dict[str, tuple[FalseDiscovery, ...]]:
    """Return the rows of each track: techniques by falling skill on their worst control, then guessing."""
    kept = newest(trials)
    skills: dict[tuple[str, str], dict[Control, list[Trial]]] = {}
    for trial in kept:
        if trial.control and trial.status == "ok" and trial.skill is not None:
            row = skills.setdefault((trial.track, trial.technique), {})
            row.setdefault(trial.control, []).append(trial)
    planted = {
        (trial.technique_id, _problem(trial)): trial.skill
        for trial in kept
        if not trial.control and trial.skill is not None
    }
    tracks = sorted({track for track, _ in skills})
    return {
        track: tuple(
            sorted((_row(row, planted) for (name, _), row in skills.items() if name == track), key=_order)
        )
        for track in tracks
    }


def _row(
    trials: Mapping[Control, list[Trial]], planted: Mapping[tuple[str, Problem], float]
) -> FalseDiscovery:
    every = [trial for group in trials.values() for trial in group]
    first = every[0]
    problems = sorted({_problem(trial) for trial in every})
    known = [
        planted[first.technique_id, problem]
        for problem in problems
        if (first.technique_id, problem) in planted
    ]
    skills = {
        control: t_interval([trial.skill for trial in trials[control] if trial.skill is not None])
        for control in CONTROLS
        if control in trials
    }
    return FalseDiscovery(
        technique=first.technique,
        track=first.track,
        role=first.role,
        planted=mean(known) if known else None,
        skills=MappingProxyType(skills),
    )


def _problem(trial: Trial) -> Problem:
    return (trial.task_id, trial.model, trial.seed)


def _order(row: FalseDiscovery) -> tuple[int, float, str]:
    return (ROLES.index(row.role), -max(skill.mean for skill in row.skills.values()), row.technique)
