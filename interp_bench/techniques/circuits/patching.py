"""Exact interventions: what happens to the metric when an edge or a node is replaced."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import Inapplicable
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores

# Bytes that what all sources write may take in one batch of cuts.
BATCH_BYTES = 16 * 2**20


def effects(problem: CircuitProblem, replacement: Tensor, cuts: Tensor) -> Tensor:
    """Return (n_cuts,), how much each cut lowers the mean metric; many cuts run as one batch.

    Args:
        problem: the pairs to run on.
        replacement: (n_sources, batch, position, d_model), what cut edges carry.
        cuts: (n_cuts, n_sources, n_destinations) bool.
    """
    nothing = torch.zeros(problem.graph.shape, dtype=torch.bool)
    whole = problem.patched_metric(replacement, nothing).mean()
    together = max(1, BATCH_BYTES // (replacement.numel() * replacement.element_size()))
    found = []
    for some in cuts.split(together):
        many = problem.repeated(len(some))
        rows = some.repeat_interleave(len(problem.clean), dim=0)
        metric = many.patched_metric(replacement.repeat(1, len(some), 1, 1), rows)
        found.append(whole - metric.view(len(some), -1).mean(1))
    return torch.cat(found)


def single_edges(problem: CircuitProblem, max_edges: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows and columns (n_edges,) of all edges, and cuts (n_edges, ...) of one edge each.

    Edges into one destination follow each other, so that a batch of them recomputes few destinations.

    Raises:
        Inapplicable: there are too many edges.
    """
    graph = problem.graph
    if graph.n_edges > max_edges:
        raise Inapplicable(
            f"{graph.n_edges:,} edges need as many forwards; max_edges is {max_edges:,} (raise it to try)"
        )
    columns, rows = torch.nonzero(graph.valid.T, as_tuple=True)
    cuts = torch.zeros(len(rows), *graph.shape, dtype=torch.bool)
    cuts[torch.arange(len(rows)), rows, columns] = True
    return rows, columns, cuts


def _edge_effects(problem: CircuitProblem, replacement: Tensor, max_edges: int) -> EdgeScores:
    rows, columns, cuts = single_edges(problem, max_edges)
    scores = torch.zeros(problem.graph.shape)
    scores[rows, columns] = effects(problem, replacement, cuts).cpu().float()
    return EdgeScores(scores=scores)


@technique(
    cites="Wang et al. 2022, Interpretability in the Wild; Goldowsky-Dill et al. 2023 (path patching)",
    access="forward",
    cost="1 forward an edge",
    quick=Needs(max_params=250_000),
)
def activation_patching(problem: CircuitProblem, *, max_edges: int = 1000, n_pairs: int = 4) -> EdgeScores:
    """Resample every edge by itself and see how far the metric falls.

    Args:
        problem: the problem.
        max_edges: most edges that are tried.
        n_pairs: pairs of inputs that the metric is averaged over.
    """
    some = problem.first(n_pairs)
    return _edge_effects(some, some.source_outputs(some.corrupted), max_edges)


@technique(
    cites="Wang et al. 2022, Interpretability in the Wild, section 2.1 (mean ablation), on edges",
    access="forward",
    cost="1 forward an edge",
    quick=Needs(max_params=100_000),
)
def mean_patching(problem: CircuitProblem, *, max_edges: int = 1000, n_pairs: int = 4) -> EdgeScores:
    """Let every edge by itself carry its mean over the corrupted inputs and see how far the metric falls.

    Args:
        problem: the pairs and the graph.
        max_edges: most edges that are tried.
        n_pairs: clean inputs that the metric is averaged over; the mean is that of all corrupted ones,
            position by position.
    """
    mean = problem.source_outputs(problem.corrupted).mean(1, keepdim=True)
    some = problem.first(n_pairs)
    return _edge_effects(some, mean.repeat(1, len(some.clean), 1, 1), max_edges)


@technique(
    cites="Olsson et al. 2022, In-context Learning and Induction Heads (ablation by zeros), on edges",
    access="forward",
    cost="1 forward an edge",
    quick=Needs(max_params=100_000),
)
def zero_patching(problem: CircuitProblem, *, max_edges: int = 1000, n_pairs: int = 4) -> EdgeScores:
    """Let every edge by itself carry nothing and see how far the metric falls.

    Args:
        problem: the problem.
        max_edges: most edges that are tried.
        n_pairs: pairs of inputs that the metric is averaged over.
    """
    some = problem.first(n_pairs)
    return _edge_effects(some, torch.zeros_like(some.source_outputs(some.clean)), max_edges)


@technique(
    cites="Meng et al. 2022 (causal tracing); Mueller et al. 2025, MIB (node patching)",
    access="forward",
    cost="1 forward a node or node input",
    needs=Needs(max_params=20_000_000),
    quick=Needs(max_params=1_000_000),
)
def node_patching(problem: CircuitProblem, *, n_pairs: int = 2) -> EdgeScores:
    """Resample all that leaves a node, and all that enters one; an edge gets the smaller of its ends.

    Args:
        problem: the problem.
        n_pairs: pairs of inputs that the metric is averaged over.
    """
    problem = problem.first(n_pairs)
    valid = problem.graph.valid
    rows, columns = valid.shape
    leaving = [valid & (torch.arange(rows) == row)[:, None] for row in range(rows)]
    entering = [valid & (torch.arange(columns) == column) for column in range(columns)]
    replacement = problem.source_outputs(problem.corrupted)
    found = effects(problem, replacement, torch.stack(leaving + entering)).abs()
    scores = torch.minimum(found[:rows, None], found[None, rows:])
    return EdgeScores(scores=scores.cpu())
