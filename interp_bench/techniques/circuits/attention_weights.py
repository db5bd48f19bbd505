"""Attention patterns as they are: heads that attend to one place only are taken to matter."""

from __future__ import annotations

import torch

from interp_bench.model.attention import record_patterns
from interp_bench.techniques.circuits.importance import node_rows
from interp_bench.techniques.circuits.propagation import TRANSFORMERS
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Voita et al. 2019, Analyzing Multi-Head Self-Attention, section 4.1 (confidence of a head)",
    access="activations",
    cost="1 forward",
    needs=Needs(kinds=TRANSFORMERS),
)
def attention_weights(problem: CircuitProblem) -> EdgeScores:
    """Mean over inputs and positions of the largest attention weight of a head; an edge gets its lesser head.

    Edges without a head at either end score zero.
    """
    graph = problem.graph
    patterns = record_patterns(problem.model, problem.clean)
    confidence = torch.full((len(graph.sources),), torch.inf)
    for layer, pattern in enumerate(patterns):
        first = graph.sources.index(f"a{layer}.h0")
        confidence[first : first + pattern.shape[1]] = pattern.amax(-1).float().mean((0, 2)).cpu()
    nowhere = torch.tensor(torch.inf)
    ends = torch.stack([confidence[rows].max() if rows else nowhere for rows in node_rows(problem.model)])
    scores = torch.minimum(confidence[:, None], ends[None])
    return EdgeScores(scores=torch.where(torch.isinf(scores), torch.zeros_like(scores), scores))
