"""Footholds: where a technique is better than guessing, beyond doubt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Footholds:
    """The cells of one technique that decide whether it is better than guessing.

    Attributes:
        held: cells in which the lower bound of skill is above 0.
        cells: cells with an interval, which takes two seeds.
        best: the cell of the largest lower bound; None when no cell has one.
    """

    held: int
    cells: int
    best: Cell | None


def footholds_of(cells: Iterable[Cell]) -> dict[str, Footholds]:
    """Return the footholds of each ``track/technique``; trials that failed count as skill 0."""
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        grouped.setdefault(f"{cell.track}/{cell.technique}", []).append(cell)
    return {name: _footholds(group) for name, group in grouped.items()}


def _footholds(cells: list[Cell]) -> Footholds:
    decided = [cell for cell in cells if cell.ranked is not None and cell.ranked.bounded]
    return Footholds(
        held=sum(_low(cell) > 0 for cell in decided),
        cells=len(decided),
        best=max(decided, key=lambda cell: (_low(cell), cell.task, cell.model), default=None),
    )


def _low(cell: Cell) -> float:
    assert cell.ranked is not None
    return cell.ranked.low
