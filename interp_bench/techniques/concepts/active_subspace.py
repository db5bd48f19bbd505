"""The active subspace: the directions along which the labelled logits change most."""

from __future__ import annotations

import torch

from interp_bench.techniques.concepts.effects import first_order_gain, measure_effects
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal


@technique(
    cites="Constantine, Dow and Wang 2014; sites by attribution patching, Nanda 2023",
    access="gradients",
    cost="1 forward + n_values backwards",
)
def active_subspace(problem: ConceptProblem, *, n_inputs: int = 32) -> Subspace:
    """Leading directions of the logits' gradients, at the site where swapping them should matter most.

    Args:
        problem: the problem.
        n_inputs: how many inputs gradients are taken at.
    """
    effects = measure_effects(problem, n_inputs)
    pairs = problem.pairs(128, n_inputs=n_inputs)
    bases = {
        site: orthonormal(gradients.flatten(0, 2), problem.n_values - 1)
        for site, gradients in effects.gradients.items()
        if bool(torch.any(gradients != 0))
    }
    site = max(bases, key=lambda name: first_order_gain(effects, pairs, name, bases[name]))
    return Subspace(site=site, basis=bases[site])
