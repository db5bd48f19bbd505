"""Bands of size: the standings of techniques on models of one modality and about the same size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import Cell
from interp_bench.analysis.standings import Standing, standings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One track on the models of one modality whose size rounds to the same power of ten.

    Attributes:
        track, modality: which.
        size: the power of ten, in parameters.
        models: the models, smallest first.
        rows: all standings on these models alone, ceiling first, then by falling rank.
    """

    track: str
    modality: str
    size: int
    models: tuple[str, ...]
    rows: tuple[Standing, ...]

    @property
    def complete(self) -> tuple[Standing, ...]:
        """The techniques that were scored on most cells, best first: only they compare fairly.

        A technique that was scored on the easiest model alone would else lead. Where none was scored on
        every cell, those with the most are meant.
        """
        scored = [row for row in self.rows if row.role == "technique" and row.ranked is not None]
        most = max((row.cells for row in scored), default=0)
        return tuple(row for row in scored if row.cells == most)


def size_of(params: int) -> int:
    """Return the power of ten that a number of parameters is nearest to on a log axis."""
    return int(10 ** round(math.log10(max(params, 1))))


def bands_of(cells: Iterable[Cell]) -> tuple[Band, ...]:
    """Return the bands of each track, sorted by track, modality and size."""
    grouped: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.track, cell.modality, size_of(cell.params)), []).append(cell)
    return tuple(
        Band(
            track=track,
            modality=modality,
            size=size,
            models=_models(group),
            rows=standings_of(group)[track],
        )
        for (track, modality, size), group in sorted(grouped.items(), key=_order)
    )


def _models(cells: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(model for _, model in sorted({(cell.params, cell.model) for cell in cells}))


def _order(item: tuple[tuple[str, str, int], list[Cell]]) -> tuple[str, bool, str, int]:
    track, modality, size = item[0]
    return (track, modality != "lm", modality, size)
