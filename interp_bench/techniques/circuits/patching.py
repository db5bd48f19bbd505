"""Exact interventions: what happens to the metric when an edge or a node is resampled."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import Inapplicable
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


def _effects(problem: CircuitProblem, cuts: list[Tensor]) -> Tensor:
    """Return (n_cuts,), how much each cut lowers the mean metric."""
    replacement = problem.source_outputs(problem.corrupted)
    nothing = torch.zeros(problem.graph.shape, dtype=torch.bool)
    whole = problem.patched_metric(replacement, nothing).mean()
    return torch.stack([whole - problem.patched_metric(replacement, cut).mean() for cut in cuts])


@technique(
    cites="Wang et al. 2022, Interpretability in the Wild; Goldowsky-Dill et al. 2023 (path patching)",
    access="forward",
    cost="1 forward an edge",
)
def activation_patching(problem: CircuitProblem, *, max_edges: int = 1000, n_pairs: int = 4) -> EdgeScores:
    """Resample every edge by itself and see how far the metric falls."""
    problem = problem.first(n_pairs)
    graph = problem.graph
    if graph.n_edges > max_edges:
        raise Inapplicable(
            f"{graph.n_edges:,} edges need as many forwards; max_edges is {max_edges:,} (raise it to try)"
        )
    rows, columns = torch.nonzero(graph.valid, as_tuple=True)
    cuts = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        cut = torch.zeros(graph.shape, dtype=torch.bool)
        cut[row, column] = True
        cuts.append(cut)
    scores = torch.zeros(graph.shape)
    scores[rows, columns] = _effects(problem, cuts).cpu().float()
    return EdgeScores(scores=scores)


@technique(
    cites="Meng et al. 2022 (causal tracing); Mueller et al. 2025, MIB (node patching)",
    access="forward",
    cost="1 forward a node or node input",
    needs=Needs(max_params=20_000_000),
)
def node_patching(problem: CircuitProblem, *, n_pairs: int = 2) -> EdgeScores:
    """Resample all that leaves a node, and all that enters one; an edge gets the smaller of its ends."""
    problem = problem.first(n_pairs)
    valid = problem.graph.valid
    rows, columns = valid.shape
    leaving = [valid & (torch.arange(rows) == row)[:, None] for row in range(rows)]
    entering = [valid & (torch.arange(columns) == column) for column in range(columns)]
    effects = _effects(problem, leaving + entering).abs()
    scores = torch.minimum(effects[:rows, None], effects[None, rows:])
    return EdgeScores(scores=scores.cpu())
