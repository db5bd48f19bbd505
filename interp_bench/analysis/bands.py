"""Bands of size: the standings of techniques on models of one modality and about the same size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from interp_bench.analysis.cells import ROLES, Cell
from interp_bench.analysis.reach import skill_over_seeds
from interp_bench.analysis.standings import Standing, standings_of
from interp_bench.analysis.stats import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Banded:
    """One technique in a band.

    Attributes:
        standing: its row on the models of the band alone, without reaches.
        skill: over seeds, for just these models and tasks, since a mean over two models has no interval
            worth the name; failing trials count as 0. None where it was not scored.
    """

    standing: Standing
    skill: Interval | None

    @property
    def technique(self) -> str:
        """Its bare name."""
        return self.standing.technique


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One track on the models of one modality whose size rounds to the same power of ten.

    Attributes:
        track, modality: which.
        size: the power of ten, in parameters.
        models: the models, smallest first.
        rows: ceiling, techniques by falling skill, floor.
    """

    track: str
    modality: str
    size: int
    models: tuple[str, ...]
    rows: tuple[Banded, ...]

    @property
    def complete(self) -> tuple[Banded, ...]:
        """The techniques that were scored on most cells, best first: only they compare fairly.

        A technique that was scored on the easiest model alone would else lead. Where none was scored on
        every cell, those with the most are meant.
        """
        scored = [r for r in self.rows if r.standing.role == "technique" and r.skill is not None]
        most = max((row.standing.cells for row in scored), default=0)
        return tuple(row for row in scored if row.standing.cells == most)


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
            rows=_rows(group, track),
        )
        for (track, modality, size), group in sorted(grouped.items(), key=_order)
    )


def _rows(cells: list[Cell], track: str) -> tuple[Banded, ...]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.technique, []).append(cell)
    rows = [
        Banded(standing=standing, skill=skill_over_seeds(groups[standing.technique]))
        for standing in standings_of(cells, reach=False)[track]
    ]
    return tuple(sorted(rows, key=_rank))


def _rank(row: Banded) -> tuple[int, bool, float, str]:
    mean = 0.0 if row.skill is None else row.skill.mean
    return (ROLES.index(row.standing.role), row.skill is None, -mean, row.technique)


def _models(cells: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(model for _, model in sorted({(cell.params, cell.model) for cell in cells}))


def _order(item: tuple[tuple[str, str, int], list[Cell]]) -> tuple[str, bool, str, int]:
    track, modality, size = item[0]
    return (track, modality != "lm", modality, size)
