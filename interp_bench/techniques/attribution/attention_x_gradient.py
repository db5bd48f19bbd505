"""Attention weighted by its gradient, through all layers."""

from __future__ import annotations

import torch

from interp_bench.techniques.attribution.patterns import TRANSFORMERS, attention_patterns, read_flow
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import technique


@technique(
    cites="Chefer et al. 2021, Generic attention-model explainability, equations 5 and 6",
    access="gradients",
    cost="1 forward + 1 backward",
    needs=TRANSFORMERS,
)
def attention_x_gradient(problem: AttributionProblem) -> Saliency:
    """Positive part of attention times its gradient, mean over heads, added up through the layers."""
    logit, patterns = attention_patterns(problem, problem.features().detach().requires_grad_())
    gradients = torch.autograd.grad(logit.sum(), patterns)
    relevance = torch.eye(patterns[0].shape[-1], device=logit.device).repeat(len(logit), 1, 1)
    for pattern, gradient in zip(patterns, gradients, strict=True):
        weighted = (pattern.detach().float() * gradient.float()).clamp_min(0).mean(1)
        relevance = relevance + weighted @ relevance
    return Saliency(values=read_flow(relevance, problem))
