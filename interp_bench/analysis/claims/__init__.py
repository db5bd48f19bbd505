"""Claims of the debate about size and interpretability, each with its statistic and its verdict."""

from __future__ import annotations

from collections.abc import Iterable

from interp_bench.analysis.cells import Cell
from interp_bench.analysis.claims.base import (
    VERDICTS,
    Chart,
    Claim,
    Evidence,
    Finding,
    Line,
    ModelFacts,
    Point,
    Verdict,
    evidence_of,
    measured,
)
from interp_bench.analysis.claims.capability_window import CAPABILITY_WINDOW
from interp_bench.analysis.claims.dictionaries_grow import DICTIONARIES_GROW
from interp_bench.analysis.claims.first_cliff import FIRST_CLIFF
from interp_bench.analysis.claims.image_or_lm import IMAGES_BETTER
from interp_bench.analysis.claims.larger_lms import LARGER_LMS_BETTER, LARGER_LMS_WORSE
from interp_bench.analysis.claims.more_work import MORE_WORK
from interp_bench.analysis.claims.oversized_images import OVERSIZED_IMAGES
from interp_bench.analysis.claims.size_or_capability import SIZE_OR_CAPABILITY
from interp_bench.analysis.claims.superposition import SUPERPOSITION
from interp_bench.harness.trial import Trial

__all__ = [
    "CLAIMS",
    "VERDICTS",
    "Chart",
    "Claim",
    "Evidence",
    "Finding",
    "Line",
    "ModelFacts",
    "Point",
    "Verdict",
    "evidence_of",
    "findings_of",
    "measured",
]

CLAIMS: tuple[Claim, ...] = (
    LARGER_LMS_BETTER,
    LARGER_LMS_WORSE,
    MORE_WORK,
    CAPABILITY_WINDOW,
    IMAGES_BETTER,
    OVERSIZED_IMAGES,
    SIZE_OR_CAPABILITY,
    SUPERPOSITION,
    DICTIONARIES_GROW,
    FIRST_CLIFF,
)
"""In the order of every table."""


def findings_of(
    trials: Iterable[Trial],
    models: Iterable[ModelFacts] = (),
    *,
    claims: Iterable[Claim] = CLAIMS,
    cells: Iterable[Cell] | None = None,
) -> tuple[tuple[Claim, Finding], ...]:
    """Return claims, each with what the trials say of it.

    Args:
        trials: any trials, in any order.
        models: what else is known of their models, from models.yaml.
        claims: those that are asked for.
        cells: those of the trials, where they are known already.
    """
    evidence = evidence_of(trials, models, cells)
    return tuple((claim, measured(claim, evidence)) for claim in claims)
