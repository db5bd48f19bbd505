"""Importance of nodes from gradients, lifted to the edges between them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from interp_bench.model.graph import Graph
from interp_bench.model.handle import Model
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


def node_rows(model: Model) -> list[list[int]]:
    """Return for each destination the rows of the sources that are the same node; none for the logits.

    Under grouped-query attention keys and values belong to all heads of their group.
    """
    graph, anatomy = model.graph, model.anatomy
    rows = {name: row for row, name in enumerate(graph.sources)}
    found: list[list[int]] = []
    for d in graph.destinations:
        if d.letter == "o":
            found.append([])
        elif d.letter in "kv" and isinstance(anatomy, TransformerAnatomy):
            heads = [h for h in range(anatomy.n_heads) if anatomy.kv_head(h) == d.head]
            found.append([rows[f"a{d.layer}.h{head}"] for head in heads])
        else:
            found.append([rows[d.name.partition("<")[0]]])
    return found


def between_nodes(model: Model, importance: Tensor) -> Tensor:
    """Return (n_sources, n_destinations): an edge is as important as the lesser of its ends.

    Args:
        model: a network with a circuit graph.
        importance: (n_sources,) of nodes; the logits are always in.
    """
    top = importance.max()
    ends = torch.stack([importance[rows].max() if rows else top for rows in node_rows(model)])
    return torch.minimum(importance[:, None], ends[None])


def layers_of_sources(graph: Graph) -> list[slice]:
    """Return rows of the sources of each layer: what comes between two counts of earlier sources."""
    bounds = sorted({0, len(graph.sources), *(d.n_sources for d in graph.destinations)})
    return [slice(a, b) for a, b in pairwise(bounds)]


@technique(
    cites="Michel, Levy & Neubig 2019, Are Sixteen Heads Really Better than One?, eq. 2 (HISP); "
    "Conmy et al. 2023, ACDC, appendix E.3",
    access="gradients",
    cost="2 forwards, 1 backward",
    quick=Needs(max_params=1_000_000),
)
def hisp(problem: CircuitProblem) -> EdgeScores:
    """Head importance score: a node's change times its gradient, absolute; an edge gets its lesser end.

    The mean over inputs of the absolute product is normalised in each layer by its l2 norm, as in the
    paper; as in ACDC a node's change is from the clean to the corrupted run, and an edge stays as long
    as both of its nodes do.
    """
    importance = torch.cat([_changes(part) for part in problem.batches()]).mean(0)
    for rows in layers_of_sources(problem.graph):
        importance[rows] /= importance[rows].norm().clamp(min=1e-30)
    return EdgeScores(scores=between_nodes(problem.model, importance))


def _changes(part: CircuitProblem) -> Tensor:
    """Return (batch, n_sources), the absolute first-order effect of all that a source writes."""
    corrupted = part.writes(part.corrupted)
    by_edge = part.edge_attributions(lambda clean: corrupted - clean, per_input=True)
    return by_edge.sum(2).abs()
