"""Boards as arrays, many at once, whose techniques, models and ladders all have effects of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interp_bench.analysis.claims.crossed import Grid, grid_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which cells a board has.

    Attributes:
        grid: technique, series and model of each cell.
        x: size of each model in decades.
        ladder: of each model.
    """

    grid: Grid
    x: Floats
    ladder: Ints

    @property
    def design(self) -> Floats:
        return self.x[:, None]


def layout(
    ladders: Sequence[Sequence[float]],
    generator: np.random.Generator,
    *,
    techniques: int = 30,
    tasks: int = 3,
    missing: float = 0.2,
) -> Layout:
    """Return a layout in which a share of all cells is missing.

    Args:
        ladders: sizes of the models of each, in decades.
        generator: of what is missing.
        techniques, tasks: how many there are.
        missing: share of the cells.
    """
    cells, at = [], 0
    for rungs in ladders:
        for technique in range(techniques):
            for task in range(tasks):
                kept = np.flatnonzero(generator.random(len(rungs)) >= missing)
                if len(kept) > 1:
                    cells += [(technique, (at, technique, task), at + rung) for rung in kept]
        at += len(rungs)
    number = {series: index for index, series in enumerate(dict.fromkeys(series for _, series, _ in cells))}
    return Layout(
        grid=grid_of(
            np.array([technique for technique, _, _ in cells]),
            np.array([number[series] for _, series, _ in cells]),
            np.array([model for _, _, model in cells]),
        ),
        x=np.concatenate([np.asarray(rungs, dtype=float) for rungs in ladders]),
        ladder=np.repeat(np.arange(len(ladders)), [len(rungs) for rungs in ladders]),
    )


def draw(
    board: Layout,
    boards: int,
    generator: np.random.Generator,
    *,
    slope: float = 0.0,
    of_technique: float = 0.02,
    of_model: float = 0.05,
    of_ladder: float = 0.0,
    of_cell: float = 0.05,
) -> Floats:
    """Draw boards, ``(boards, n)``; every series has a level of its own besides.

    Args:
        board: the layout.
        boards: how many.
        generator: of all effects.
        slope: skill per decade that all share.
        of_technique: standard deviation of the slopes of techniques.
        of_model: standard deviation of what makes a model easy for all techniques alike.
        of_ladder: standard deviation of the slopes of ladders.
        of_cell: standard deviation of the noise of one cell.
    """
    grid, normal = board.grid, generator.standard_normal
    steepness = (
        slope
        + of_technique * normal((boards, grid.techniques))[:, grid.technique]
        + of_ladder * normal((boards, int(board.ladder.max()) + 1))[:, board.ladder[grid.model]]
    )
    level = 0.2 * normal((boards, int(grid.series.max()) + 1))[:, grid.series]
    ease = of_model * normal((boards, len(board.x)))[:, grid.model]
    return level + ease + steepness * board.x[grid.model] + of_cell * normal((boards, len(grid.model)))
