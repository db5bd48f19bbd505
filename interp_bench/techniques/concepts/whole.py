"""The whole activation: what a site knows, without asking in which directions."""

from __future__ import annotations

import torch
from sklearn.neighbors import NearestCentroid

from interp_bench.techniques.concepts.site_choice import most_decodable
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace


@technique(cites="Geiger et al. 2021; the full-vector control of Mueller et al. 2025 (MIB)", cost="none")
def full_vector(problem: ConceptProblem) -> Subspace:
    """All directions at the site where class means separate best: causes everything, isolates nothing.

    Note:
        A control: to swap the whole site causes everything and isolates nothing, so it should stay at the
        floor.
    """
    site = most_decodable(problem, NearestCentroid())
    return Subspace(site=site, basis=torch.eye(problem.model.width(site)))
