"""Claim: techniques work best in a window of capability, and worse before and after it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import f as fisher

from interp_bench.analysis.claims.base import (
    Chart,
    Claim,
    Evidence,
    Finding,
    Line,
    ModelFacts,
    Point,
    missing,
)
from interp_bench.analysis.claims.crossed import Bounds, Fit, Floats, Grid, Ints, regress, smaller
from interp_bench.analysis.claims.observations import Board, board_of, observe
from interp_bench.analysis.claims.trend import LEAST_TECHNIQUES, finding_of, levels, too_few
from interp_bench.analysis.stats import LEVEL

SIDE = 4
"""Different capabilities that each line needs: a line through three leaves one degree of freedom."""

_NEEDS = (
    f"three techniques, and {2 * SIDE} trained models with different figures of the same metric of "
    "capability, or as many points of one training"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Two lines that meet no one, and where one ends and the other begins.

    Attributes:
        fit: coefficients of the first line, the second, and the step between them.
        effect: the smaller of rise before and fall after the break.
        at, low, high: the break, and the breaks that fit about as well (profile of a bent line, 95%).
    """

    fit: Fit
    effect: Bounds
    at: float
    low: float
    high: float


def two_lines(grid: Grid, values: Floats, x: Floats, ladder: Ints) -> Window | None:
    """Test for an inverted U by two lines (Simonsohn 2018, Two lines, step by step).

    A bent line is fitted at every possible break; of those breaks that fit about as well as the best,
    the one is taken that favours the weaker line ("Robin Hood"), and two unconnected lines are fitted.

    Args:
        grid: of the observations.
        values: one an observation, ``(n,)``.
        x: capability of each model, ``(n_models,)``.
        ladder: index of each model's ladder.

    Returns:
        The lines, or None where no break leaves ``SIDE`` different capabilities on either side.
    """
    known = np.unique(x)
    breaks = (known[SIDE - 1 : len(known) - SIDE] + known[SIDE : len(known) - SIDE + 1]) / 2
    if len(known) < 2 * SIDE:
        return None
    ease = grid.ease(values)
    bends = [_least_squares(ease, grid, np.column_stack(_bent(x - at))) for at in breaks]
    errors = np.array([error for _, error in bends])
    df = max(len(x) - int(grid.parts.max()) - 4, 1)
    bound = errors.min() * (1 + fisher.ppf(LEVEL, 1, df) / df)
    flat = breaks[errors <= bound + 1e-15]
    z, _ = _least_squares(ease, grid, _two(x, float(breaks[errors.argmin()])))
    share = z[1] / (z[0] + z[1]) if z[0] + z[1] > 0 else 0.5
    at = float(np.quantile(flat, share, method="nearest"))
    fit = regress(grid, values, _two(x, at), ladder)
    effect = smaller(fit.bounds(1.0, 0.0, 0.0), fit.bounds(0.0, -1.0, 0.0))
    return Window(fit=fit, effect=effect, at=at, low=float(flat[0]), high=float(flat[-1]))


def _bent(x: Floats) -> tuple[Floats, Floats]:
    return np.minimum(x, 0.0), np.maximum(x, 0.0)


def _least_squares(ease: Floats, grid: Grid, columns: Floats) -> tuple[Floats, float]:
    """Fit the ease by columns, with a constant in each part.

    Returns:
        Each coefficient over its standard error, without its sign and but for a common factor; and the
        squared error.
    """
    design = np.column_stack([columns, np.eye(int(grid.parts.max()) + 1)[grid.parts]])
    inverse = np.linalg.pinv(design)
    found = inverse @ ease
    rest = ease - design @ found
    spread = np.sqrt((inverse**2).sum(axis=1))
    return np.abs(found) / np.where(spread > 0, spread, 1.0), float(rest @ rest)


def _two(x: Floats, at: float) -> Floats:
    """Return the design of two unconnected lines: either slope, and the step."""
    after = (x > at).astype(float)
    return np.column_stack([(x - at) * (1 - after), (x - at) * after, after])


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Along what capability is told.

    Attributes:
        name: the metric, or the ladder of a training.
        unit: of the effect.
        title: of the chart's axis.
        place: where a model stands on it.
        group: its name for a model that stands on it, else an empty name.
    """

    name: str
    unit: str
    title: str
    place: Callable[[ModelFacts], float]
    group: Callable[[ModelFacts], str]


def _published(metric: str) -> Axis:
    return Axis(
        name=metric,
        unit=f"skill per tenth of {metric}" if metric else "skill per tenth of the metric of capability",
        title=metric,
        place=lambda facts: 10 * (facts.capability or 0.0),
        group=lambda facts: facts.metric if facts.trained and facts.metric == metric else "",
    )


def _training(ladder: str) -> Axis:
    return Axis(
        name=ladder,
        unit="skill per decade of optimiser steps",
        title=f"log10 of optimiser steps of {ladder}",
        place=lambda facts: math.log10(facts.steps or 1),
        group=lambda facts: facts.ladder if facts.steps and facts.ladder == ladder else "",
    )


def _axis(evidence: Evidence) -> Axis:
    """Return the axis that most models with trials stand on; the first name where several have as many."""
    metrics = Counter(facts.metric for facts in evidence.facts.values() if facts.trained and facts.metric)
    ladders = Counter(facts.ladder for facts in evidence.facts.values() if facts.steps)
    best = [(-n, 0, name) for name, n in metrics.items()] + [(-n, 1, name) for name, n in ladders.items()]
    if not best:
        return _published("")
    _, kind, name = min(best)
    return _training(name) if kind else _published(name)


def _measure(evidence: Evidence) -> Finding:
    axis = _axis(evidence)
    observations = observe(evidence, lambda facts: bool(axis.group(facts)), group=axis.group)
    board = board_of(observations)
    if board is None or board.techniques < LEAST_TECHNIQUES:
        return missing(axis.unit, "models", too_few(board, _NEEDS))
    x = np.array([axis.place(facts) for facts in board.models])
    window = two_lines(board.grid, board.values, x, board.ladders)
    if window is None:
        return missing(axis.unit, "models", too_few(board, _NEEDS))
    chart = _chart(board, window, x, axis.title)
    return finding_of(board, window.effect, axis.unit, chart=chart, more=_where(board, x, window))


def _where(board: Board, x: Floats, window: Window) -> str:
    """Return between which models the break lies."""
    before = board.models[int(np.where(x < window.low, x, -np.inf).argmax())].id
    after = board.models[int(np.where(x > window.high, x, np.inf).argmin())].id
    return f"; the break lies between {before} and {after}"


def _chart(board: Board, window: Window, x: Floats, title: str) -> Chart:
    level = levels(board)
    ease = board.grid.ease(board.values)
    b, c, step = (float(value) for value in window.fit.coefficients)
    base = float(window.fit.intercepts.mean() + (level - ease).mean())
    low, at, high = float(x.min()), window.at, float(x.max())
    return Chart(
        x_title=title,
        y_title="ease of the model (skill)",
        points=tuple(
            Point(x=float(place), y=float(y), group=facts.ladder, label=facts.id)
            for facts, place, y in zip(board.models, x, level, strict=True)
        ),
        lines=(
            Line(x=(low, at), y=(base + b * (low - at), base), label="before the break"),
            Line(x=(at, high), y=(base + step, base + step + c * (high - at)), label="after the break"),
        ),
    )


CAPABILITY_WINDOW = Claim(
    name="capability-window",
    statement="Techniques work best in a window of capability: skill rises up to it and falls after it.",
    statistic="two-lines test (Simonsohn 2018) of skill on the published figure of capability that most "
    "trained models share, or on the steps of a training; the effect is the smaller of rise and fall",
    bounds="supported if the 95% intervals of rise and fall both lie above 0, against if one lies below",
    needs=_NEEDS,
    measure=_measure,
)
