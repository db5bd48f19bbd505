"""Guessing: the floor of the attribution track."""

from __future__ import annotations

import torch

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import technique


@technique(cites="chance", access="forward", cost="none", floor=True)
def random(problem: AttributionProblem) -> Saliency:
    """A uniform random number at each place."""
    return Saliency(values=torch.rand(problem.shape, generator=problem.generator()))
