"""Where a technique met a model: its cells there, and its skill over all of their tasks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import FAILING, ROLES, Cell
from interp_bench.analysis.reach import WORKS, skill_over_seeds
from interp_bench.analysis.stats import Interval
from interp_bench.harness.trial import Role

Place = tuple[str, str, str]
"""Track, technique and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One technique on one model.

    Attributes:
        track, technique, model, role: who and where.
        cells: one a task.
        skill: over seeds, each the mean over tasks with failing trials at 0; None without a score.
    """

    track: str
    technique: str
    model: str
    role: Role
    cells: tuple[Cell, ...]
    skill: Interval | None

    @property
    def scored(self) -> int:
        """On how many tasks the skill rests."""
        return sum(cell.ranked is not None for cell in self.cells)

    @property
    def works(self) -> int:
        """On how many tasks it works."""
        return sum(cell.ranked is not None and cell.ranked.low >= WORKS for cell in self.cells)

    @property
    def failed(self) -> bool:
        """Whether any of its trials failed."""
        return any(status in FAILING for cell in self.cells for status in cell.statuses)

    @property
    def seconds(self) -> float | None:
        """Median over its answers; None without one."""
        found = [trial.seconds for cell in self.cells for trial in cell.trials if trial.status == "ok"]
        return statistics.median(found) if found else None

    @property
    def rank(self) -> tuple[str, int, bool, float, str]:
        """By track: the truth, techniques by falling skill, guessing; what was not scored last."""
        mean = 0.0 if self.skill is None else self.skill.mean
        return (self.track, ROLES.index(self.role), self.skill is None, -mean, self.technique)


def meetings_of(cells: Iterable[Cell]) -> dict[Place, Meeting]:
    """Group cells by technique and model."""
    groups: dict[Place, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.track, cell.technique, cell.model), []).append(cell)
    return {
        place: Meeting(
            track=place[0],
            technique=place[1],
            model=place[2],
            role=group[0].role,
            cells=tuple(group),
            skill=skill_over_seeds(group),
        )
        for place, group in groups.items()
    }
