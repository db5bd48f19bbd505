"""Pairs: the old and the new trial of one technique, task, model and seed, and what came of its skill."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from interp_bench.analysis.cells import FAILING, newest, rank_value, without_controls
from interp_bench.analysis.outcomes import kind_of_reason
from interp_bench.harness.trial import STATUSES, Status, Trial

Place = tuple[str, str, str]
"""Technique id, task id and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One seed, before and now."""

    old: Trial
    new: Trial

    @property
    def lost(self) -> bool:
        """Whether there was a skill, and now the technique fails."""
        return self.old.status == "ok" and self.new.status in FAILING

    @property
    def found(self) -> bool:
        """Whether the technique failed, and now there is a skill."""
        return self.old.status in FAILING and self.new.status == "ok"

    @property
    def difference(self) -> float | None:
        """New skill minus old; None where one of them is skipped or invalid, which says nothing.

        A trial that failed counts as 0, the floor. Since failing must not pay, a lost skill is never a
        gain and a found one never a loss, whichever side of 0 it lies on.
        """
        before, now = rank_value(self.old), rank_value(self.new)
        if before is None or now is None:
            return None
        change = max(-sys.float_info.max, min(now - before, sys.float_info.max))
        if self.lost:
            return min(change, 0.0)
        return max(change, 0.0) if self.found else change


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """The trials of one technique, task and model in both runs.

    Attributes:
        old, new: by seed; one of them may be empty.
    """

    old: Mapping[int, Trial]
    new: Mapping[int, Trial]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Those of the seeds that both runs tried, by seed."""
        return tuple(
            Pair(old=self.old[s], new=self.new[s]) for s in sorted(self.old.keys() & self.new.keys())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """Pairs of one technique whose status changed in the same way for the same kind of reason.

    Attributes:
        technique, track: whose.
        before, now: the statuses.
        reason: the first of the reasons that are given now, or of those before where it is ``ok`` now.
        pairs: how many there are, sorted by name.
    """

    technique: str
    track: str
    before: Status
    now: Status
    reason: str
    pairs: tuple[Pair, ...]


def seeds_of(old: Iterable[Trial], new: Iterable[Trial]) -> dict[Place, Seeds]:
    """Group the trials of two runs by technique, task and model, sorted; negative controls are left out.

    Where a run holds two trials of one question, the one that started later counts.
    """
    sides: tuple[dict[Place, dict[int, Trial]], ...] = ({}, {})
    for side, trials in zip(sides, (old, new), strict=True):
        for trial in without_controls(newest(trials)):
            place = (trial.technique_id, trial.task_id, trial.model)
            side.setdefault(place, {})[trial.seed] = trial
    before, now = sides
    return {
        place: Seeds(
            old=MappingProxyType(before.get(place, {})),
            new=MappingProxyType(now.get(place, {})),
        )
        for place in sorted({*before, *now})
    }


def status_changes_of(pairs: Iterable[Pair]) -> tuple[StatusChange, ...]:
    """Group the pairs whose status changed: lost skills first, then by falling count."""
    groups: dict[tuple[str, str, Status, Status, str], list[Pair]] = {}
    for pair in pairs:
        if pair.old.status != pair.new.status:
            told = _telling(pair)
            key = (told.track, told.technique, pair.old.status, pair.new.status, kind_of_reason(told))
            groups.setdefault(key, []).append(pair)
    found = [
        StatusChange(
            technique=technique,
            track=track,
            before=before,
            now=now,
            reason=min(_telling(pair).reason for pair in group),
            pairs=tuple(sorted(group, key=lambda pair: pair.new.name)),
        )
        for (track, technique, before, now, _), group in groups.items()
    ]
    return tuple(sorted(found, key=_order))


def _telling(pair: Pair) -> Trial:
    """Return the trial whose reason says more: the new one, unless it is ``ok``, which has none."""
    return pair.old if pair.new.status == "ok" else pair.new


def _order(change: StatusChange) -> tuple[bool, bool, int, int, int, str, str]:
    return (
        not change.pairs[0].lost,
        change.before != "ok",
        -len(change.pairs),
        STATUSES.index(change.before),
        STATUSES.index(change.now),
        change.track,
        change.technique,
    )
