"""Outcomes: why trials gave no answer, grouped by reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import FAILING
from interp_bench.harness.trial import STATUSES, Status, Trial

_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All trials of one track that ended in the same status for the same kind of reason.

    Attributes:
        status, track: what they share.
        reason: the first of their reasons, which differ in numbers and the model's name at most.
        trials: how many there are.
        techniques, models: the names that occur, sorted.
    """

    status: Status
    reason: str
    track: str
    trials: int
    techniques: tuple[str, ...]
    models: tuple[str, ...]

    @property
    def failing(self) -> bool:
        """Whether the technique answers for it, so that it counts as skill 0."""
        return self.status in FAILING


def outcomes_of(trials: Iterable[Trial]) -> tuple[Outcome, ...]:
    """Group every trial that is not ``ok``: failing ones first, then by falling count."""
    groups: dict[tuple[Status, str, str], list[Trial]] = {}
    for trial in trials:
        if trial.status != "ok":
            groups.setdefault((trial.status, kind_of_reason(trial), trial.track), []).append(trial)
    found = [
        Outcome(
            status=status,
            reason=min(trial.reason for trial in group),
            track=track,
            trials=len(group),
            techniques=tuple(sorted({trial.technique for trial in group})),
            models=tuple(sorted({trial.model for trial in group})),
        )
        for (status, _, track), group in groups.items()
    ]
    return tuple(sorted(found, key=_order))


def kind_of_reason(trial: Trial) -> str:
    """Return the reason of a trial without numbers and the model's name, in which alike ones differ."""
    return _NUMBER.sub("#", trial.reason.replace(trial.model, "#"))


def _order(outcome: Outcome) -> tuple[bool, int, int, str, str]:
    rank = STATUSES.index(outcome.status)
    return (not outcome.failing, -outcome.trials, rank, outcome.track, outcome.reason)
