"""The identity: each coordinate of the site is a feature."""

from __future__ import annotations

import torch

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(
    cites="the neuron doctrine; Bau et al. 2017, Network dissection", cost="one pass over the activations"
)
def neurons(problem: FeatureProblem) -> Dictionary:
    """The coordinates of the site with the largest variance, one direction each.

    Note:
        A control: planted directions are dense in the coordinates of the site, so that no neuron is one of
        them.
    """
    x = problem.activations()
    order = x.var(dim=0).argsort(descending=True)[: problem.max_directions]
    return Dictionary(
        directions=torch.eye(problem.d_site, device=x.device)[order], codes=(x - x.mean(0))[:, order]
    )
