"""Certificates of a run: how many problems were proved, and how close the closest check was."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.harness.trial import CheckNumbers, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSummary:
    """One kind of check over all scored problems of a task.

    Attributes:
        track, task, check: what was measured; parts in brackets are pooled.
        count: how many such checks were made.
        problems: on how many problems.
        worst: the check with the smallest margin to its bound.
    """

    track: str
    task: str
    check: str
    count: int
    problems: int
    worst: CheckNumbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """How many problems of a task were planted and how many of them were proved.

    Attributes:
        track, task: which.
        planted: problems (task x model x seed) that were planted or tried.
        certified: those whose checks all passed; only they are scored.
    """

    track: str
    task: str
    planted: int
    certified: int


def plantings_of(trials: Iterable[Trial]) -> tuple[Planting, ...]:
    """Count planted and certified problems of each task."""
    passed: dict[tuple[str, str], dict[tuple[str, int], bool]] = {}
    for trial in trials:
        if trial.certificate or trial.status == "invalid":
            problems = passed.setdefault((trial.track, trial.task), {})
            problem = (trial.model, trial.seed)
            problems[problem] = problems.get(problem, True) and _passed(trial)
    return tuple(
        Planting(track=track, task=task, planted=len(problems), certified=sum(problems.values()))
        for (track, task), problems in sorted(passed.items())
    )


def checks_of(trials: Iterable[Trial]) -> tuple[CheckSummary, ...]:
    """Summarise the checks of all certified problems, by task and kind of check."""
    pools: dict[tuple[str, str, str], dict[tuple[str, int], dict[str, CheckNumbers]]] = {}
    for trial in trials:
        if not _passed(trial):
            continue
        for name, numbers in trial.certificate.items():
            pool = pools.setdefault((trial.track, trial.task, name.partition("[")[0].strip()), {})
            pool.setdefault((trial.model, trial.seed), {})[name] = numbers
    return tuple(
        _summary(track, task, check, problems) for (track, task, check), problems in sorted(pools.items())
    )


def _passed(trial: Trial) -> bool:
    return bool(trial.certificate) and all(check.passed for check in trial.certificate.values())


def _summary(
    track: str, task: str, check: str, problems: dict[tuple[str, int], dict[str, CheckNumbers]]
) -> CheckSummary:
    numbers = [check for checks in problems.values() for check in checks.values()]
    return CheckSummary(
        track=track,
        task=task,
        check=check,
        count=len(numbers),
        problems=len(problems),
        worst=min(numbers, key=_closeness),
    )


def _closeness(check: CheckNumbers) -> tuple[float, float, float]:
    margin = check.value - check.bound
    if check.relation == "<=":
        margin = -margin
    return (-math.inf if math.isnan(margin) else margin, check.value, check.bound)
