"""Claim: more techniques work on larger language models."""

from __future__ import annotations

from interp_bench.analysis.cells import Cell
from interp_bench.analysis.claims.base import Claim, Evidence, Finding
from interp_bench.analysis.claims.larger_lms import is_sized_lm
from interp_bench.analysis.claims.observations import observe
from interp_bench.analysis.claims.trend import Wording, size_trend
from interp_bench.analysis.reach import WORKS

_NEEDS = "two seeds a cell, three techniques, and three more language models than ladders that they stand on"
_WORDING = Wording(
    unit="share of techniques that work, per decade of parameters",
    y_title="share of techniques that work",
    lacking=_NEEDS,
)


def works(cell: Cell) -> float | None:
    """Return 1 where the lower bound of skill is at least ``WORKS``, else 0; None without an interval."""
    if cell.ranked is None or not cell.ranked.bounded:
        return None
    return float(cell.ranked.low >= WORKS)


def _measure(evidence: Evidence) -> Finding:
    return size_trend(observe(evidence, is_sized_lm, value=works), _WORDING)


MORE_WORK = Claim(
    name="more-work-on-larger-lms",
    statement="More techniques work on larger language models.",
    statistic=f"slope of whether the lower bound of skill is at least {WORKS:g}, 1 or 0, on log10 of "
    "parameters within ladders of size; techniques and models both count as drawn from many "
    "(min F', Clark 1973)",
    bounds="supported if the 95% interval of the slope lies above 0, against if it lies below",
    needs=_NEEDS,
    measure=_measure,
)
