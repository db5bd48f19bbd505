"""Claim: past 300 million parameters, image nets get less muddled as they grow."""

from __future__ import annotations

from interp_bench.analysis.claims.base import Claim, Evidence, Finding, ModelFacts
from interp_bench.analysis.claims.observations import observe
from interp_bench.analysis.claims.trend import SKILL_PER_DECADE, Wording, size_trend

OVERSIZED = 300_000_000
"""Parameters from which an image net counts as oversized."""

_NEEDS = (
    "three techniques, and three more image nets of 300 million parameters or more than ladders that "
    "they stand on"
)
_WORDING = Wording(unit=SKILL_PER_DECADE, y_title="ease of the model (skill)", lacking=_NEEDS)


def _is_oversized(facts: ModelFacts) -> bool:
    return facts.modality == "image" and facts.axis == "size" and facts.params >= OVERSIZED


def _measure(evidence: Evidence) -> Finding:
    return size_trend(observe(evidence, _is_oversized), _WORDING)


OVERSIZED_IMAGES = Claim(
    name="oversized-images-clearer",
    statement="Image nets past 300 million parameters are less muddled the larger they are.",
    statistic="slope of skill on log10 of parameters within ladders of image nets, over those of 300 "
    "million parameters or more; techniques and models both count as drawn from many (min F', Clark 1973)",
    bounds="supported if the 95% interval of the slope lies above 0, against if it lies below",
    needs=_NEEDS,
    measure=_measure,
)
