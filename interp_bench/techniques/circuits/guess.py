"""Guessing: random scores."""

from __future__ import annotations

import torch

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(cites="the floor of the track", cost="nothing", floor=True)
def random(problem: CircuitProblem) -> EdgeScores:
    """Independent uniform scores."""
    return EdgeScores(scores=torch.rand(problem.graph.shape, generator=problem.generator()))
