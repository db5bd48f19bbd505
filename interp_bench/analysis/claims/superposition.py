"""Claim: of two models that can do the same, the bigger one packs fewer features into a dimension."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np

from interp_bench.analysis.cells import Cell
from interp_bench.analysis.claims.base import Claim, Evidence, Finding, ModelFacts, missing
from interp_bench.analysis.claims.crossed import degrees, regress
from interp_bench.analysis.claims.observations import Observation, board_of
from interp_bench.analysis.claims.trend import LEAST_FREEDOM, finding_of, too_few

PACKING = "features_per_dimension"
"""Score of the truth of a task whose host learned its features: how many it holds in each dimension."""

_UNIT = "decades of features per dimension saved, per decade of parameters"
_NEEDS = (
    f"trials on trained models with a published figure of capability whose truth tells {PACKING}, on four "
    "more models than metrics of capability"
)


def packing_of(cell: Cell) -> float | None:
    """Return log10 of the features per dimension that the truth of a cell tells; None where it does not."""
    found = [trial.ceiling_scores.get(PACKING, 0.0) for trial in cell.trials if trial.status == "ok"]
    positive = [value for value in found if value > 0]
    return math.log10(fmean(positive)) if positive else None


def _observations(evidence: Evidence) -> list[Observation]:
    """Return one observation a task and model: truth is the same whatever technique is asked."""
    found: dict[tuple[str, str], Observation] = {}
    for cell in evidence.cells:
        facts, value = evidence.facts[cell.model], packing_of(cell)
        if value is not None and facts.trained and facts.capability is not None and facts.params > 0:
            task = f"{cell.track}/{cell.task}"
            # The truth is one technique to the statistic: nothing is drawn from many but the models.
            found[task, facts.id] = Observation(
                technique=f"{cell.track}/truth", task=task, group=facts.metric, model=facts, value=value
            )
    return [found[key] for key in sorted(found)]


def _rows(models: tuple[ModelFacts, ...]) -> list[list[float]]:
    return [[math.log10(facts.params), facts.capability or 0.0] for facts in models]


def _measure(evidence: Evidence) -> Finding:
    board = board_of(_observations(evidence))
    if board is None or degrees(board.grid, 2) < LEAST_FREEDOM:
        return missing(_UNIT, "models", too_few(board, _NEEDS))
    try:
        fit = regress(board.grid, board.values, np.array(_rows(board.models)), board.ladders)
    except ValueError:
        return missing(_UNIT, "models", "size and capability cannot be told apart on these models")
    return finding_of(board, fit.bounds(-1.0, 0.0), _UNIT, chart=None)


SUPERPOSITION = Claim(
    name="bigger-less-superposition",
    statement="At equal capability, a bigger model holds fewer features in each dimension.",
    statistic=f"slope of log10 of {PACKING}, known from the truth of trained hosts, on log10 of parameters "
    "with capability held in the same regression; turned round",
    bounds="supported if the 95% interval of the slope lies below 0, against if it lies above",
    needs=_NEEDS,
    measure=_measure,
)
