"""Calibration: ceiling rows must have skill 1 and floor rows skill 0, or no other row means anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import Cell
from interp_bench.analysis.stats import Interval, t_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingRow:
    """The truth itself, scored in one cell.

    Attributes:
        cell: the cell.
        worst: the skill farthest from 1 over the seeds.
    """

    cell: Cell
    worst: float

    @property
    def holds(self) -> bool:
        """Whether the skill is exactly 1 for every seed."""
        return self.worst == 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRow:
    """Guessing, scored in one cell.

    Attributes:
        cell: the cell.
        alone: its 95% interval over seeds by itself.
        together: its interval when those of all floor rows are to hold together with 95% confidence.
    """

    cell: Cell
    alone: Interval
    together: Interval

    @property
    def tested(self) -> bool:
        """Whether there are two seeds, without which there is no interval that 0 could miss."""
        return self.alone.bounded

    @property
    def holds(self) -> bool:
        """Whether 0 lies in the family-wise interval."""
        return self.together.contains(0.0)

    @property
    def holds_alone(self) -> bool:
        """Whether 0 lies in the interval of this cell by itself; 1 in 20 is expected not to."""
        return self.alone.contains(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All ceiling and floor rows that were scored.

    Attributes:
        ceilings: one a cell.
        floors: one a cell.
    """

    ceilings: tuple[CeilingRow, ...]
    floors: tuple[FloorRow, ...]

    @property
    def broken(self) -> tuple[CeilingRow | FloorRow, ...]:
        """The rows that are off."""
        rows: tuple[CeilingRow | FloorRow, ...] = (*self.ceilings, *self.floors)
        return tuple(row for row in rows if not row.holds)

    @property
    def holds(self) -> bool:
        """Whether there are rows of both kinds and none is off."""
        return bool(self.ceilings) and bool(self.floors) and not self.broken


def calibrate(cells: Iterable[Cell]) -> Calibration:
    """Check every ceiling and every floor cell that gave an answer."""
    cells = tuple(cells)
    guesses = [(cell, _skills(cell)) for cell in cells if cell.role == "floor"]
    guesses = [(cell, skills) for cell, skills in guesses if skills]
    truths = [(cell, _skills(cell)) for cell in cells if cell.role == "ceiling"]
    return Calibration(
        ceilings=tuple(
            CeilingRow(cell=cell, worst=max(skills, key=lambda skill: abs(skill - 1.0)))
            for cell, skills in truths
            if skills
        ),
        floors=tuple(
            FloorRow(
                cell=cell,
                alone=t_interval(skills),
                together=t_interval(skills, comparisons=len(guesses)),
            )
            for cell, skills in guesses
        ),
    )


def _skills(cell: Cell) -> list[float]:
    return [trial.skill for trial in cell.trials if trial.status == "ok" and trial.skill is not None]
