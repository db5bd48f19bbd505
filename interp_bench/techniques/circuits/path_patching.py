"""Path patching from the logits backwards: which senders reach the receivers found so far."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import Inapplicable
from interp_bench.techniques.circuits.importance import node_rows
from interp_bench.techniques.circuits.patching import BATCH_BYTES
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Wang et al. 2022, Interpretability in the Wild, appendix B; Goldowsky-Dill et al. 2023, "
    "Localizing Model Behavior with Path Patching, section 3",
    access="forward",
    cost="1 forward an edge into a node that was found",
    needs=Needs(max_params=20_000_000),
    quick=Needs(max_params=100_000),
)
def path_patching(
    problem: CircuitProblem, *, threshold: float = 0.02, max_edges: int = 1000, n_pairs: int = 4
) -> EdgeScores:
    """Resample an edge along paths found so far, all else frozen at clean values, from the logits backwards.

    ``activation_patching`` lets everything behind an edge react. Here its change reaches the logits only
    through edges that were found before: first senders that write to the logits, then senders into
    these, and so on. Edges into nodes that were never found score zero.

    Args:
        problem: the pairs and the graph.
        threshold: an edge is found when it moves the metric by this share of the distance between
            clean and corrupted inputs. The papers choose by eye.
        max_edges: most edges of a graph.
        n_pairs: pairs of inputs.
    """
    if problem.graph.n_edges > max_edges:
        raise Inapplicable(
            f"{problem.graph.n_edges:,} edges may need as many forwards; raise max_edges to try"
        )
    problem = problem.first(n_pairs)
    graph = problem.graph
    clean, corrupted = problem.source_outputs(problem.clean), problem.source_outputs(problem.corrupted)
    none = torch.zeros(graph.shape, dtype=torch.bool)
    whole = problem.patched_metric(clean, none).mean()
    distance = (whole - problem.patched_metric(corrupted, graph.valid).mean()).abs()
    found, scores, nodes = none.clone(), torch.zeros(graph.shape), node_rows(problem.model)
    for column in reversed(range(graph.shape[1])):
        if nodes[column] and not bool(found[nodes[column]].any()):
            continue
        senders = graph.valid[:, column].nonzero()[:, 0]
        metric = _through(problem, clean, corrupted, senders, column, found)
        effects = (whole - metric).cpu().float()
        scores[senders, column] = effects
        found[senders, column] = effects.abs() >= threshold * float(distance)
    return EdgeScores(scores=scores)


def _through(
    problem: CircuitProblem, clean: Tensor, corrupted: Tensor, senders: Tensor, column: int, found: Tensor
) -> Tensor:
    """Return (n_senders,), the mean metric when each sender's edge into ``column`` is resampled.

    Behind ``column`` all edges that are not ``found`` carry clean values.
    """
    n_pairs = len(problem.clean)
    frozen = problem.graph.valid & ~found
    frozen[:, : column + 1] = False
    metric = []
    together = max(1, BATCH_BYTES // (clean.numel() * clean.element_size()))
    for some in senders.split(together):
        replacement = clean.repeat(1, len(some), 1, 1)
        cuts = frozen.repeat(len(some) * n_pairs, 1, 1)
        for i, sender in enumerate(some.tolist()):
            rows = slice(i * n_pairs, (i + 1) * n_pairs)
            replacement[sender, rows] = corrupted[sender]
            cuts[rows, sender] = False  # what it writes is clean: nothing before it has changed
            cuts[rows, sender, column] = True
        values = problem.repeated(len(some)).patched_metric(replacement, cuts)
        metric.append(values.view(len(some), n_pairs).mean(1))
    return torch.cat(metric)
