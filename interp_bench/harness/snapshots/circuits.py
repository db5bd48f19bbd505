"""Snapshots of circuits: the first edges of the ranking, as many as were planted, beside those."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.harness.snapshots.stored import Circuit, DrawnEdge
from interp_bench.model.graph import Destination, Graph
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth, EdgeScores

MOST_NODES = 80
"""Of a larger graph only nodes that an edge touches are shown."""

_PORTS = ("q", "k", "v")


def snapshot(problem: CircuitProblem, truth: CircuitTruth, answer: EdgeScores) -> Circuit:
    """Rank edges as grading does, and cut after as many as were planted."""
    graph = problem.graph
    planted = graph.mask(list(truth.edges))
    found, tied = first_edges(graph, answer, int(planted.sum()))
    nodes = [_node(graph, destination) for destination in graph.destinations]
    edges = tuple(
        DrawnEdge(
            source=graph.sources[row],
            destination=nodes[column],
            port=graph.destinations[column].letter if graph.destinations[column].letter in _PORTS else "",
            planted=bool(planted[row, column]),
            found=bool(found[row, column]),
        )
        for row, column in (planted | found).nonzero().tolist()
    )
    columns = _columns([*graph.sources, *nodes])
    if sum(map(len, columns)) > MOST_NODES:
        touched = {name for edge in edges for name in (edge.source, edge.destination)}
        columns = [kept for names in columns if (kept := [name for name in names if name in touched])]
    return Circuit(columns=tuple(map(tuple, columns)), edges=edges, n_edges=graph.n_edges, tied=tied)


def first_edges(graph: Graph, answer: EdgeScores, count: int) -> tuple[Tensor, int]:
    """Return the mask of the first ``count`` edges, and how many edges tie for places beyond it.

    Edges that tie are taken all, or none where there are too many: no order among them was found.
    """
    scores = answer.scores.detach().cpu().double()
    ranked = (scores if answer.signed else scores.abs()).masked_fill(~graph.valid, -torch.inf)
    threshold = ranked[graph.valid].sort(descending=True).values[count - 1]
    above, level = ranked > threshold, ranked == threshold
    if int(above.sum() + level.sum()) <= count:
        return above | level, 0
    return above, int(level.sum())


def _node(graph: Graph, destination: Destination) -> str:
    """Return the node of a destination; a shared key and value head is a node of its own."""
    name, letter = destination.name.partition("<")[0], destination.letter
    if letter not in ("k", "v"):
        return name
    layer = [d for d in graph.destinations if d.layer == destination.layer]
    n_heads, n_shared = (sum(d.letter == kind for d in layer) for kind in ("q", letter))
    return name if n_heads == n_shared else f"a{destination.layer}.kv{destination.head}"


def _columns(names: list[str]) -> list[list[str]]:
    """Return the nodes of each step of computation: those whose names agree up to the last dot."""
    steps: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        steps.setdefault(name.rpartition(".")[0] or name, []).append(name)
    return list(steps.values())
