"""The slope of something on the size of models within ladders, and how it looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp_bench.analysis.claims.base import Chart, Finding, Line, Point, Verdict, missing, verdict_of, why
from interp_bench.analysis.claims.crossed import ENOUGH_LADDERS, Bounds, Fit, Floats, degrees, regress
from interp_bench.analysis.claims.observations import Board, Observation, board_of
from interp_bench.analysis.claims.scope import counted, models_of, scope_of

LEAST_FREEDOM = 2
"""Degrees of freedom that models must leave: with one, an interval is 12.7 standard errors to a side."""

LEAST_TECHNIQUES = 3

SKILL_PER_DECADE = "skill per decade of parameters"


def decades(board: Board) -> Floats:
    """Return log10 of the parameters of each model, ``(n_models, 1)``."""
    return np.array([[math.log10(facts.params)] for facts in board.models])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a trend is called.

    Attributes:
        unit: of its slope.
        y_title: of the chart.
        lacking: what the data lacks where there is none, after ``needs``.
    """

    unit: str
    y_title: str
    lacking: str


def size_trend(observations: Sequence[Observation], wording: Wording, *, turned: bool = False) -> Finding:
    """Return the finding of a slope on log10 of parameters within ladders.

    Args:
        observations: grouped by ladder.
        wording: what it is called.
        turned: whether the claim is that the slope is negative; the effect is turned round then.
    """
    board = board_of(observations)
    if board is None or degrees(board.grid) < LEAST_FREEDOM or board.techniques < LEAST_TECHNIQUES:
        return missing(wording.unit, "models", too_few(board, wording.lacking))
    design = decades(board)
    fit = regress(board.grid, board.values, design, board.ladders)
    bounds = fit.bounds(-1.0 if turned else 1.0)
    return finding_of(board, bounds, wording.unit, chart=chart_of(board, fit, wording.y_title))


def finding_of(
    board: Board, bounds: Bounds, unit: str, *, chart: Chart | None, than: float = 0.0, more: str = ""
) -> Finding:
    """Return the finding of one board whose verdict is by an interval.

    Args:
        board: what it rests on.
        bounds: of the effect.
        unit: of the effect.
        chart: how it looks.
        than: above which the claim is supported, and below which the evidence is against it.
        more: said after the reason.
    """
    low, high = float(bounds.low), float(bounds.high)
    verdict = verdict_of(low, high, than)
    return Finding(
        verdict=verdict,
        effect=float(bounds.effect),
        low=low,
        high=high,
        unit=unit,
        n=len(board.models),
        n_of="models",
        scope=scope_of(
            (one.technique for one in board.observations),
            (one.task for one in board.observations),
            board.models,
        ),
        reason=why(verdict, than) + more + _failures(board) + _reservation(board, verdict),
        chart=chart,
    )


def _failures(board: Board) -> str:
    """Return how much of a board failed, since a limit of time is no limit of insight."""
    failed = sum(one.failed for one in board.observations)
    if not failed:
        return ""
    return f"; {failed} of {counted(len(board.observations), 'cell')} hold trials that failed and count as 0"


def _reservation(board: Board, verdict: Verdict) -> str:
    """Return what a verdict does not say where its ladders are too few to speak for others."""
    ladders = sorted({facts.ladder for facts in board.models})
    if verdict == "undecided" or len(ladders) >= ENOUGH_LADDERS:
        return ""
    these = "this ladder" if len(ladders) == 1 else "these ladders"
    return f"; it holds for {these}, too few to speak for other architectures"


def too_few(board: Board | None, lacking: str) -> str:
    """Return why a board says nothing."""
    if board is None:
        return f"needs {lacking}; there are none"
    have = f"{counted(board.techniques, 'technique')} on {models_of(board.models)}"
    return f"needs {lacking}; there are {have}"


def levels(board: Board) -> Floats:
    """Return the ease of each model in the units of the values: the mean of its part is added."""
    ease = board.grid.ease(board.values)
    part = board.grid.parts[board.grid.model]
    means = np.bincount(part, board.values) / np.bincount(part)
    found: Floats = ease + means[board.grid.parts]
    return found


def chart_of(board: Board, fit: Fit, y_title: str) -> Chart:
    """Return the models of a board over their parameters, with the line of each ladder."""
    level = levels(board)
    ease = board.grid.ease(board.values)
    lines = []
    for part in range(int(board.grid.parts.max()) + 1):
        inside = np.flatnonzero(board.grid.parts == part)
        ends = board.models[inside[0]], board.models[inside[-1]]
        shift = float(level[inside[0]] - ease[inside[0]] + fit.intercepts[part])
        slope = float(fit.coefficients[0])
        x = tuple(float(facts.params) for facts in ends)
        y = tuple(shift + slope * math.log10(params) for params in x)
        lines.append(Line(x=x, y=y, group=board.groups[inside[0]], label="common slope"))
    return Chart(
        x_title="parameters",
        y_title=y_title,
        x_log=True,
        points=tuple(
            Point(x=float(facts.params), y=float(y), group=group, label=facts.id)
            for facts, group, y in zip(board.models, board.groups, level, strict=True)
        ),
        lines=tuple(lines),
    )
