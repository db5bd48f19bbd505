"""Claims of the debate about size and interpretability, each with its statistic and its verdict."""

from __future__ import annotations

from collections.abc import Iterable

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
)
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
]

CLAIMS: tuple[Claim, ...] = ()
"""In the order of every table."""


def findings_of(
    trials: Iterable[Trial], models: Iterable[ModelFacts] = (), claims: Iterable[Claim] = CLAIMS
) -> tuple[tuple[Claim, Finding], ...]:
    """Return every claim with what the trials say of it.

    Args:
        trials: any trials, in any order.
        models: what else is known of their models, from models.yaml.
        claims: those that are asked for.
    """
    evidence = evidence_of(trials, models)
    return tuple((claim, claim.measure(evidence)) for claim in claims)
