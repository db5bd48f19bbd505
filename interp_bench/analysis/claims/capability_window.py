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
from interp_bench.analysis.claims.crossed import Bounds, Floats, Grid, Ints, regress, smaller
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
    """Two unconnected lines for each of many boards, and where one ends and the other begins.

    Attributes:
        effect: the smaller of rise before and fall after the break, ``(n_boards,)``.
        at, low, high: the break, and the breaks that fit about as well (profile of a bent line, 95%),
            ``(n_boards,)``.
        coefficients: slope of the first line, of the second, and the step, ``(n_boards, 3)``.
        level: of the first line at the break, mean over parts, ``(n_boards,)``.
    """

    effect: Bounds
    at: Floats
    low: Floats
    high: Floats
    coefficients: Floats
    level: Floats


def two_lines(grid: Grid, values: Floats, x: Floats, ladder: Ints) -> Window | None:
    """Test for an inverted U by two lines (Simonsohn 2018, Two lines, step by step).

    A bent line is fitted at every possible break; of those breaks that fit about as well as the best,
    the one is taken that favours the weaker line ("Robin Hood"), and two unconnected lines are fitted.

    Args:
        grid: of the observations.
        values: one an observation, ``(n_boards, n)``.
        x: capability of each model, ``(n_models,)``.
        ladder: index of each model's ladder.

    Returns:
        The lines, or None where no break leaves ``SIDE`` different capabilities on either side.
    """
    known = np.unique(x)
    if len(known) < 2 * SIDE:
        return None
    breaks = (known[SIDE - 1 : len(known) - SIDE] + known[SIDE : len(known) - SIDE + 1]) / 2
    chosen, low, high = _breaks(grid, grid.ease(values), x, breaks)
    effect, coefficients, level = (
        np.zeros((3, len(values))),
        np.zeros((len(values), 3)),
        np.zeros(len(values)),
    )
    for index in np.unique(chosen):
        rows = chosen == index
        fit = regress(grid, values[rows], _two(x, float(breaks[index])), ladder)
        bounds = smaller(fit.bounds(1.0, 0.0, 0.0), fit.bounds(0.0, -1.0, 0.0))
        effect[:, rows] = bounds.effect, bounds.low, bounds.high
        coefficients[rows], level[rows] = fit.coefficients, fit.intercepts.mean(axis=-1)
    return Window(
        effect=Bounds(effect=effect[0], low=effect[1], high=effect[2]),
        at=breaks[chosen],
        low=breaks[low],
        high=breaks[high],
        coefficients=coefficients,
        level=level,
    )


def _breaks(grid: Grid, ease: Floats, x: Floats, breaks: Floats) -> tuple[Ints, Ints, Ints]:
    """Return indices of the break of each board, and of the first and last that fit about as well."""
    bent = [_least_squares(ease, grid, np.column_stack(_bend(x - at)))[1] for at in breaks]
    errors = np.stack(bent, axis=-1)
    df = max(len(x) - int(grid.parts.max()) - 4, 1)
    bound = errors.min(axis=-1) * (1 + fisher.ppf(LEVEL, 1, df) / df)
    flat = errors <= bound[:, None] + 1e-15
    z = np.stack([_least_squares(ease, grid, _two(x, float(at)))[0] for at in breaks], axis=1)
    first, second = np.moveaxis(z[np.arange(len(z)), errors.argmin(axis=-1), :2], -1, 0)
    total = first + second
    share = np.where(total > 0, second / np.where(total > 0, total, 1.0), 0.5)
    # The share is a quantile of the breaks that fit: the weaker line gets more of the models.
    rank = 1 + np.rint(share * (flat.sum(axis=-1) - 1)).astype(np.int64)
    chosen = (np.cumsum(flat, axis=-1) >= rank[:, None]).argmax(axis=-1)
    return chosen, flat.argmax(axis=-1), flat.shape[-1] - 1 - flat[:, ::-1].argmax(axis=-1)


def _bend(x: Floats) -> tuple[Floats, Floats]:
    return np.minimum(x, 0.0), np.maximum(x, 0.0)


def _least_squares(ease: Floats, grid: Grid, columns: Floats) -> tuple[Floats, Floats]:
    """Fit the ease of many boards by columns, with a constant in each part.

    Returns:
        Each coefficient over its standard error, without its sign and but for a factor that all share,
        ``(n_boards, k)``; and the squared errors, ``(n_boards,)``.
    """
    design = grid.centred(columns)
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    found = ease @ design @ inverse
    rest = ease - found @ design.T
    spread = np.sqrt(np.diag(inverse))
    return np.abs(found) / np.where(spread > 0, spread, 1.0), (rest**2).sum(axis=-1)


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
    window = two_lines(board.grid, board.values[None], x, board.ladders)
    if window is None:
        return missing(axis.unit, "models", too_few(board, _NEEDS))
    chart = _chart(board, window, x, axis.title)
    return finding_of(board, window.effect.of(0), axis.unit, chart=chart, more=_where(board, x, window))


def _where(board: Board, x: Floats, window: Window) -> str:
    """Return between which models the break lies."""
    before = board.models[int(np.where(x < window.low[0], x, -np.inf).argmax())].id
    after = board.models[int(np.where(x > window.high[0], x, np.inf).argmin())].id
    return f"; the break lies between {before} and {after}"


def _chart(board: Board, window: Window, x: Floats, title: str) -> Chart:
    level = levels(board)
    ease = board.grid.ease(board.values)
    b, c, step = (float(value) for value in window.coefficients[0])
    base = float(window.level[0] + (level - ease).mean())
    low, at, high = float(x.min()), float(window.at[0]), float(x.max())
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
