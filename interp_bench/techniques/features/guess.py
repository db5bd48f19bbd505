"""Guessing: random directions."""

from __future__ import annotations

import torch

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(cites="the floor of the track", cost="nothing", floor=True)
def random(problem: FeatureProblem) -> Dictionary:
    """Isotropic random directions, as many as an answer may hold."""
    return Dictionary(
        directions=torch.randn(problem.max_directions, problem.d_site, generator=problem.generator())
    )
