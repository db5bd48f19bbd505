"""How long a run will take, from what its trials took before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from interp_bench.harness.grid import Cell
from interp_bench.harness.trial import Trial

QUICK_LIMIT = 480.0
"""Seconds that the quick tier is meant to stay within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long some cells will take.

    Attributes:
        seconds: the sum over cells that were timed before, divided among the workers.
        untimed: cells of which nothing like them was timed before; not in ``seconds``.
    """

    seconds: float
    untimed: int

    def __str__(self) -> str:
        """Return e.g. ``about 4 min, and 12 trials never timed here``."""
        known = f"about {spoken(self.seconds)}" if self.seconds else ""
        unknown = f"{self.untimed} never timed here" if self.untimed else ""
        return ", and ".join(part for part in (known, unknown) if part) or "no time at all"


class Timings:
    """Seconds of past trials, from which those of new ones are guessed.

    Args:
        trials: past trials, on any model.
    """

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._calls: dict[Hashable, list[float]] = defaultdict(list)
        self._plants: dict[Hashable, list[float]] = defaultdict(list)
        for trial in trials:
            if trial.plant_seconds:
                self._plants[trial.task_id, trial.model].append(trial.plant_seconds)
            if trial.status == "ok":
                seconds = trial.seconds + trial.grade_seconds
                self._calls[trial.technique_id, trial.task_id, trial.model].append(seconds)

    def of(self, cells: Sequence[Cell], workers: int = 1) -> Estimate:
        """Return the estimate for running ``cells`` on some workers."""
        shares = self.shares(cells)
        known = [seconds for seconds in shares if seconds is not None]
        return Estimate(seconds=sum(known) / max(1, workers), untimed=len(shares) - len(known))

    def shares(self, cells: Sequence[Cell]) -> list[float | None]:
        """Return the seconds of each cell, with its share of planting; None where it was never timed."""
        sharing = Counter(cell.problem for cell in cells)
        found: list[float | None] = []
        for cell in cells:
            calls = self._calls.get((cell.technique_id, cell.task.id, cell.spec.id))
            plants = self._plants.get((cell.task.id, cell.spec.id), [0.0])
            found.append(median(calls) + median(plants) / sharing[cell.problem] if calls else None)
        return found


def spoken(seconds: float) -> str:
    """Return a duration in words: ``12 s``, ``4 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
