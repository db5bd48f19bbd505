"""Automatic circuit discovery: edges are cut one after the other, from the logits backwards."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.errors import Inapplicable
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Conmy et al. 2023, Towards Automated Circuit Discovery for Mechanistic Interpretability, "
    "algorithm 1",
    access="forward",
    cost="1 forward an edge, in batches",
    needs=Needs(max_params=20_000_000),
    quick=Needs(max_params=100_000),
)
def acdc(
    problem: CircuitProblem,
    *,
    threshold: float = 0.01,
    max_edges: int = 1000,
    n_pairs: int = 4,
    ahead: int = 16,
) -> EdgeScores:
    """Cut every edge for good unless that raises the KL divergence from the clean outputs by a threshold.

    An edge scores by how far the divergence rises when its turn comes, with all edges cut that were cut
    before, so that kept edges rank above the others and all have a rank. Several cuts are tried at
    once, each with those before it, and what follows the first edge that is kept is tried again: the
    result is that of one at a time.

    Args:
        problem: the pairs and the graph.
        threshold: rise of the divergence, in nats, from which an edge is kept. The paper sweeps it
            from 0.004 to 1.
        max_edges: most edges of a graph.
        n_pairs: pairs of inputs.
        ahead: how many cuts are tried at once.
    """
    graph = problem.graph
    if graph.n_edges > max_edges:
        raise Inapplicable(f"{graph.n_edges:,} edges need about as many forwards; raise max_edges to try")
    problem = problem.first(n_pairs)
    replacement = problem.source_outputs(problem.corrupted)
    cut, current, scores = torch.zeros(graph.shape, dtype=torch.bool), 0.0, torch.zeros(graph.shape)
    wanted = problem.patched_logits(replacement, cut).float().log_softmax(-1)
    columns, rows = graph.valid.T.flip(0, 1).nonzero(as_tuple=True)
    columns, rows = graph.shape[1] - 1 - columns, graph.shape[0] - 1 - rows  # the last come first
    start = 0
    while start < len(rows):
        tried = slice(start, start + ahead)
        divergences = _divergences(problem, replacement, wanted, cut, rows[tried], columns[tried])
        rises = torch.tensor(divergences).diff(prepend=torch.tensor([current]))
        kept = (rises >= threshold).nonzero()[:, 0]
        n_cut = int(kept[0]) if len(kept) else len(rises)
        settled = slice(start, start + min(n_cut + 1, len(rises)))
        scores[rows[settled], columns[settled]] = rises[: n_cut + 1]
        cut[rows[start : start + n_cut], columns[start : start + n_cut]] = True
        current = divergences[n_cut - 1] if n_cut else current
        start = settled.stop
    return EdgeScores(scores=scores, signed=True)


def _divergences(
    problem: CircuitProblem, replacement: Tensor, wanted: Tensor, cut: Tensor, rows: Tensor, columns: Tensor
) -> list[float]:
    """Return the mean KL divergence after the first of some cuts, after the first two, and so on."""
    cuts = cut.repeat(len(rows), 1, 1)
    for i, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        cuts[i:, row, column] = True
    n_pairs = len(problem.clean)
    logits = problem.repeated(len(rows)).patched_logits(
        replacement.repeat(1, len(rows), 1, 1), cuts.repeat_interleave(n_pairs, 0)
    )
    per_input = functional.kl_div(
        logits.float().log_softmax(-1), wanted.repeat(len(rows), 1), log_target=True, reduction="none"
    ).sum(-1)
    found: list[float] = per_input.view(len(rows), n_pairs).double().mean(1).tolist()
    return found
