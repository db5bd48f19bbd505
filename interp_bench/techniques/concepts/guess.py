"""Guessing: the floor of the concepts track."""

from __future__ import annotations

import torch

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal


@technique(cites="chance", access="forward", cost="none", floor=True)
def random(problem: ConceptProblem) -> Subspace:
    """A random subspace of as many dimensions as there are values, at a random site."""
    generator = problem.generator()
    site = problem.sites[int(torch.randint(len(problem.sites), (), generator=generator))]
    rank = min(problem.n_values, problem.model.width(site))
    return Subspace(
        site=site, basis=orthonormal(torch.randn(rank, problem.model.width(site), generator=generator))
    )
