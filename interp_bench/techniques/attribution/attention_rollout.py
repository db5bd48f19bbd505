"""Attention rollout: what the position that reads the output attends to, through all layers."""

from __future__ import annotations

import torch

from interp_bench.techniques.attribution.patterns import TRANSFORMERS, attention_patterns, read_flow
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import technique


@technique(
    cites="Abnar and Zuidema 2020, Quantifying attention flow in transformers, section 3",
    access="activations",
    cost="1 forward",
    needs=TRANSFORMERS,
)
def attention_rollout(problem: AttributionProblem) -> Saliency:
    """Product over layers of (mean attention + identity) / 2, read at the class token or last position."""
    with torch.no_grad():
        _, patterns = attention_patterns(problem, problem.features())
    own = torch.eye(patterns[0].shape[-1], device=patterns[0].device)
    rollout = own
    for pattern in patterns:
        rollout = (pattern.float().mean(1) + own) / 2 @ rollout
    return Saliency(values=read_flow(rollout, problem))
