"""Claim: what a model can do, not its size, decides how well techniques work."""

from __future__ import annotations

import math

import numpy as np

from interp_bench.analysis.claims.base import Chart, Claim, Evidence, Finding, ModelFacts, Point, missing
from interp_bench.analysis.claims.crossed import Bounds, Fit, Floats, Grid, degrees, regress
from interp_bench.analysis.claims.observations import Board, board_of, observe
from interp_bench.analysis.claims.trend import LEAST_FREEDOM, LEAST_TECHNIQUES, finding_of, levels, too_few

_UNIT = "skill per standard deviation, of capability minus of size"
_NEEDS = (
    "three techniques, and four more trained models with a published figure of capability than metrics of it"
)


def balance(fit: Fit) -> Bounds:
    """Return how much larger the first of two coefficients is than the second, both without their sign.

    |a| - |b| is the smaller of |a - b| and |a + b|, with the sign of their product. It leaves 0 only
    where both do (intersection-union test, Berger 1982), so it needs no correction.
    """
    apart, together = fit.bounds(1.0, -1.0), fit.bounds(1.0, 1.0)
    sign = np.sign(apart.effect) * np.sign(together.effect)
    first, second = _upright(apart), _upright(together)
    effect, low, high = (
        np.minimum(getattr(first, name), getattr(second, name)) for name in ("effect", "low", "high")
    )
    return Bounds(
        effect=sign * effect, low=np.where(sign > 0, low, -high), high=np.where(sign > 0, high, -low)
    )


def _upright(bounds: Bounds) -> Bounds:
    turned = bounds.effect < 0
    return Bounds(
        effect=np.abs(bounds.effect),
        low=np.where(turned, -bounds.high, bounds.low),
        high=np.where(turned, -bounds.low, bounds.high),
    )


def standardised(columns: Floats, grid: Grid) -> Floats:
    """Return columns with mean 0 within each part and standard deviation 1, ``(n_models, k)``.

    A column that does not vary stays 0.
    """
    centred = grid.centred(columns)
    spread = centred.std(axis=0)
    found: Floats = centred / np.where(spread > 0, spread, 1.0)
    return found


def _is_measured(facts: ModelFacts) -> bool:
    return bool(facts.trained) and facts.capability is not None and facts.params > 0


def design_of(board: Board) -> Floats:
    """Return standardised capability and log10 of parameters, ``(n_models, 2)``."""
    rows = [[facts.capability or 0.0, math.log10(facts.params)] for facts in board.models]
    return standardised(np.array(rows), board.grid)


def _measure(evidence: Evidence) -> Finding:
    board = board_of(observe(evidence, _is_measured, group=lambda facts: facts.metric))
    if board is None or degrees(board.grid, 2) < LEAST_FREEDOM or board.techniques < LEAST_TECHNIQUES:
        return missing(_UNIT, "models", too_few(board, _NEEDS))
    try:
        fit = regress(board.grid, board.values, design_of(board), board.ladders)
    except ValueError:
        return missing(_UNIT, "models", "size and capability cannot be told apart on these models")
    shares = [round(100 * float(fit.partial_r2(column))) for column in (0, 1)]
    more = f"; partial R2 over models is {shares[0]}% for capability and {shares[1]}% for size"
    return finding_of(board, balance(fit), _UNIT, chart=_chart(board), more=more)


def _chart(board: Board) -> Chart:
    return Chart(
        x_title="published capability",
        y_title="ease of the model (skill)",
        points=tuple(
            Point(x=facts.capability or 0.0, y=float(y), group=group, label=facts.id)
            for facts, group, y in zip(board.models, board.groups, levels(board), strict=True)
        ),
    )


SIZE_OR_CAPABILITY = Claim(
    name="capability-not-size",
    statement="What a model can do, rather than its size, decides how well techniques work on it.",
    statistic="both in one model: skill on standardised capability and log10 of parameters, within models "
    "that share a metric of capability; difference of the two slopes without their signs "
    "(intersection-union test, Berger 1982), with the partial R2 of each",
    bounds="supported if the 95% interval of the difference lies above 0, against if it lies below",
    needs=_NEEDS,
    measure=_measure,
)
