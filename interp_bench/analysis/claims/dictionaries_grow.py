"""Claim: the smallest dictionary that finds the features grows faster than the model is wide."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean

import numpy as np

from interp_bench.analysis.cells import without_controls
from interp_bench.analysis.claims.base import Chart, Claim, Evidence, Finding, ModelFacts, Point, missing
from interp_bench.analysis.claims.crossed import degrees, regress
from interp_bench.analysis.claims.observations import Board, Observation, board_of
from interp_bench.analysis.claims.trend import LEAST_FREEDOM, LEAST_TECHNIQUES, finding_of, levels, too_few

DIRECTIONS = "directions"
"""Score that tells how many directions a dictionary has."""

MATCH = "mcc"
ENOUGH = 0.8
"""Matching score from which a dictionary has found the features."""

_UNIT = "exponent of the model's width"
_NEEDS = (
    f"trials of three techniques that score {DIRECTIONS} for dictionaries of several sizes, the smallest too "
    f"small for {MATCH} {ENOUGH:g}, on three more models of known width than ladders that they stand on"
)


def smallest_sizes(evidence: Evidence) -> dict[tuple[str, str, str], float]:
    """Return the smallest dictionary of each technique, task and model that reaches ``ENOUGH``.

    Dictionaries of the same size are averaged over seeds. Where even the smallest that was tried is
    enough, or none is, the size that is needed is not known, and nothing is returned.
    """
    tried: dict[tuple[str, str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in without_controls(evidence.trials):
        size, score = trial.scores.get(DIRECTIONS), trial.scores.get(MATCH)
        if trial.track == "features" and trial.role == "technique" and size and score is not None:
            tried[trial.technique_id, trial.task_id, trial.model][size].append(score)
    found = {}
    for place, sizes in sorted(tried.items()):
        enough = [size for size in sorted(sizes) if fmean(sizes[size]) >= ENOUGH]
        if enough and enough[0] > min(sizes):
            found[place] = enough[0]
    return found


def _width(facts: ModelFacts) -> float:
    return math.log10(facts.width or 1)


def _measure(evidence: Evidence) -> Finding:
    board = board_of(
        Observation(
            technique=technique,
            task=task,
            group=evidence.facts[model].ladder,
            model=evidence.facts[model],
            value=math.log10(size),
        )
        for (technique, task, model), size in smallest_sizes(evidence).items()
        if evidence.facts[model].width and evidence.facts[model].ladder
    )
    if board is None or degrees(board.grid) < LEAST_FREEDOM or board.techniques < LEAST_TECHNIQUES:
        return missing(_UNIT, "models", too_few(board, _NEEDS))
    try:
        design = np.array([[_width(facts)] for facts in board.models])
        fit = regress(board.grid, board.values, design, board.ladders)
    except ValueError:
        return missing(_UNIT, "models", "the models of each ladder are all of one width")
    return finding_of(board, fit.bounds(1.0), _UNIT, chart=_chart(board), than=1)


def _chart(board: Board) -> Chart:
    return Chart(
        x_title="width of the model",
        y_title="smallest dictionary",
        x_log=True,
        y_log=True,
        points=tuple(
            Point(x=float(facts.width or 1), y=10 ** float(y), group=group, label=facts.id)
            for facts, group, y in zip(board.models, board.groups, levels(board), strict=True)
        ),
    )


DICTIONARIES_GROW = Claim(
    name="dictionaries-outgrow-width",
    statement="The smallest dictionary that finds the features grows faster than the model is wide.",
    statistic=f"exponent: slope of log10 of the smallest dictionary that reaches {MATCH} {ENOUGH:g} on log10 "
    "of the width of the residual stream, within ladders; techniques and models count as drawn from many",
    bounds="supported if the 95% interval of the exponent lies above 1, against if it lies below",
    needs=_NEEDS,
    measure=_measure,
)
