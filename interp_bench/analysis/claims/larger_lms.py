"""Claims: techniques work better on larger language models, and worse."""

from __future__ import annotations

from interp_bench.analysis.claims.base import Claim, Evidence, Finding, ModelFacts
from interp_bench.analysis.claims.observations import observe
from interp_bench.analysis.claims.trend import SKILL_PER_DECADE, Wording, size_trend

_STATISTIC = (
    "slope of skill (what failed counts as 0) on log10 of parameters within ladders of size, common to all; "
    "techniques and models both count as drawn from many (min F', Clark 1973)"
)
_NEEDS = "three techniques, and three more language models than ladders that they stand on"
_WORDING = Wording(
    unit=SKILL_PER_DECADE,
    y_title="ease of the model (skill)",
    lacking=_NEEDS,
)


def is_sized_lm(facts: ModelFacts) -> bool:
    """Whether a model is a language model on a ladder of size."""
    return facts.modality == "lm" and facts.axis == "size" and facts.params > 0


def _better(evidence: Evidence) -> Finding:
    return size_trend(observe(evidence, is_sized_lm), _WORDING)


def _worse(evidence: Evidence) -> Finding:
    return size_trend(observe(evidence, is_sized_lm), _WORDING, turned=True)


LARGER_LMS_BETTER = Claim(
    name="larger-lms-better",
    statement="Techniques work better on larger language models.",
    statistic=_STATISTIC,
    bounds="supported if the 95% interval of the slope lies above 0, against if it lies below",
    needs=_NEEDS,
    measure=_better,
)

LARGER_LMS_WORSE = Claim(
    name="larger-lms-worse",
    statement="Techniques work worse on larger language models.",
    statistic=f"{_STATISTIC}; turned round",
    bounds="supported if the 95% interval of the slope lies below 0, against if it lies above",
    needs=_NEEDS,
    measure=_worse,
)
