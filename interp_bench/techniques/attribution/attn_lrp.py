"""Layer-wise relevance propagation through transformers, attention included."""

from __future__ import annotations

import torch

from interp_bench.techniques.attribution.patterns import TRANSFORMERS
from interp_bench.techniques.attribution.relevance import linear_rule, relevance_rules
from interp_bench.techniques.attribution.rules import Rules
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import technique


@technique(
    cites="Achtibat et al. 2024, AttnLRP: attention-aware layer-wise relevance propagation, section 3",
    access="gradients",
    cost="1 forward + 1 backward",
    needs=TRANSFORMERS,
)
def attn_lrp(problem: AttributionProblem, *, epsilon: float = 1e-6, gamma: float = 0.0) -> Saliency:
    """Relevance handed back through softmax, products and norms, summed over embedding or colours.

    Args:
        problem: what to explain.
        epsilon: keeps denominators of linear layers off 0.
        gamma: how far linear layers favour positive contributions; the paper sets it on vision
            transformers, by a search.
    """
    features = problem.features().detach().requires_grad_()
    table = {
        **relevance_rules(epsilon=epsilon, gamma=gamma),
        torch.conv2d: linear_rule(torch.conv2d, epsilon, gamma),
    }
    with Rules(table):
        logit = problem.feature_logit(features)
    (gradient,) = torch.autograd.grad(logit.sum(), features)
    return Saliency(values=(features.detach() * gradient).sum(problem.feature_axis))
