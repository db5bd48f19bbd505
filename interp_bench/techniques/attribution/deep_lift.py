"""DeepLIFT: what each input feature adds to the output, against a reference."""

from __future__ import annotations

import torch

from interp_bench.techniques.attribution.rescale import rescale_rules
from interp_bench.techniques.attribution.rules import Rules
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import technique


@technique(
    cites="Shrikumar et al. 2017, Learning important features through propagating activation differences, "
    "rescale rule",
    access="gradients",
    cost="1 forward + 1 backward, of inputs and references together",
)
def deep_lift(problem: AttributionProblem) -> Saliency:
    """Difference from the reference times slopes between the two, summed over colours or embedding.

    The rule reaches every nonlinearity, those of attention and norms too, where captum's reaches ReLU-like
    modules; on a network of these both are equal.
    """
    features, reference = problem.features(), problem.reference_features()
    both = torch.cat([features, reference]).detach().requires_grad_()
    with Rules(rescale_rules()):
        logit = problem.feature_logit(both, problem.outputs.repeat(2))
    (gradient,) = torch.autograd.grad(logit.sum(), both)
    slopes = gradient[: len(features)]
    return Saliency(values=(slopes * (features - reference)).sum(problem.feature_axis))
