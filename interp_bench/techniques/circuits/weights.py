"""Composition scores: how strongly a node's output weights point into another's input weights."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.graph import Destination
from interp_bench.model.handle import Model
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (composition scores)",
    access="weights",
    cost="no forward",
    # Channel groups of a CNN share their layer's weights through a nonlinearity: nothing composes.
    needs=Needs(kinds=("native", "gpt2", "llama", "qwen2", "neox", "vit", "eva")),
    quick=Needs(max_params=20_000_000),
)
def weight_composition(problem: CircuitProblem) -> EdgeScores:
    """The norm of the product of output and input weights over the product of their norms."""
    model = problem.model
    writes = _unit_grams(_write_weights(model))
    scores = torch.zeros(problem.graph.shape)
    by_layer: dict[int | None, list[tuple[int, Destination]]] = {}
    for column, destination in enumerate(problem.graph.destinations):
        by_layer.setdefault(destination.layer, []).append((column, destination))
    for group in by_layer.values():
        reads = _unit_grams([_read_weight(model, destination).T for _, destination in group])
        n_sources = group[-1][1].n_sources
        overlap = (writes[:n_sources] @ reads.T).clamp(min=0).sqrt()
        scores[:n_sources, [column for column, _ in group]] = overlap
    return EdgeScores(scores=scores)


@technique(
    cites="Han et al. 2015, Learning both Weights and Connections (magnitude), on edges",
    access="weights",
    cost="no forward",
    needs=Needs(kinds=("native", "gpt2", "llama", "qwen2", "neox", "vit", "eva")),
)
def weight_norm(problem: CircuitProblem) -> EdgeScores:
    """The norm of the output weights of one end times the norm of the input weights of the other."""
    writes = torch.stack([weight.norm() for weight in _write_weights(problem.model)])
    reads = torch.stack([_read_weight(problem.model, d).norm() for d in problem.graph.destinations])
    return EdgeScores(scores=writes[:, None] * reads)


def _unit_grams(weights: list[Tensor]) -> Tensor:
    """Return (n, d_model^2): W^T W of each weight (n_rows, d_model), at unit norm."""
    d_model = weights[0].shape[1]
    grams = torch.empty(len(weights), d_model**2, device=weights[0].device)
    for gram, weight in zip(grams, weights, strict=True):  # filled in place: a copy of all is large
        torch.matmul(weight.T, weight, out=gram.view(d_model, d_model))
        gram /= gram.norm().clamp(min=1e-30)
    return grams


def _write_weights(model: Model) -> list[Tensor]:
    """Return one (n, d_model) weight for each source, in the order of the graph."""
    anatomy = model.transformer
    embedding = anatomy.token_embedding.weight
    assert isinstance(embedding, Tensor)
    table = embedding.data.float()
    weights = [table if table.ndim == 2 else table.flatten(1).T]
    for layer, block in enumerate(anatomy.blocks):
        weights += [anatomy.out_rows(layer, head).float() for head in range(anatomy.n_heads)]
        weights.append(block.mlp_out.view().float())
    return weights


def _read_weight(model: Model, destination: Destination) -> Tensor:
    """Return the (d_model, n) weight that a destination reads the residual stream with."""
    anatomy = model.transformer
    if destination.layer is None:
        return anatomy.head.view().float()
    if destination.head is None:
        block = anatomy.blocks[destination.layer]
        return (block.mlp_gate or block.mlp_in).view().float()
    return anatomy.projection(destination.layer, destination.letter, destination.head).view().float()
