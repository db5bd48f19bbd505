"""Snapshots of concepts: the site and subspace of the answer, beside those that carry the variable."""

from __future__ import annotations

import torch

from interp_bench.harness.snapshots.digits import cosine_share
from interp_bench.harness.snapshots.stored import SiteRow, Subspace
from interp_bench.tracks.concepts import ConceptProblem, ConceptTruth
from interp_bench.tracks.concepts import Subspace as Answer


def snapshot(problem: ConceptProblem, truth: ConceptTruth, answer: Answer) -> Subspace:
    """Compare the answer with what is carried at its site."""
    carriers = truth.carriers.get(answer.site)
    basis = answer.basis.detach().double().cpu()
    cosines = [] if carriers is None else torch.linalg.svdvals(basis @ carriers.double().cpu().T).tolist()
    return Subspace(
        sites=tuple(
            SiteRow(name=site, planted=len(truth.carriers[site]) if site in truth.carriers else 0)
            for site in problem.sites
        ),
        chosen=answer.site,
        cosines=tuple(cosine_share(cosine) for cosine in cosines),
        n_directions=len(basis),
        width=basis.shape[1],
    )
