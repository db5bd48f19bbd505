"""AtP*: attribution patching that recomputes softmaxes and drops gradients layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from interp_bench.model.attention import PatternEdit, attention_patterns, record_patterns
from interp_bench.model.edge_writes import Hooks
from interp_bench.model.hooks import hooked
from interp_bench.techniques.circuits.patching import BATCH_BYTES
from interp_bench.techniques.circuits.propagation import TRANSFORMERS
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Kramar, Lieberum, Shah & Nanda 2024, AtP*: An efficient and scalable method for localizing LLM "
    "behaviour to components, QK fix and GradDrop (equation 11)",
    access="gradients",
    cost="layers forwards and backwards, 2 forwards a source and layer",
    needs=Needs(kinds=TRANSFORMERS, max_params=20_000_000),
    quick=Needs(max_params=100_000),
)
def atp_star(problem: CircuitProblem) -> EdgeScores:
    """Attribution patching with recomputed softmaxes for queries and keys and with gradients dropped in turn.

    An edge into a query or key scores by the change of the whole pattern that it makes, times the
    gradient of the pattern, so that a saturated softmax hides nothing. Of as many backward passes as
    there are layers each lets no gradient through attention and MLP of one layer, and the absolute
    effects of an input are averaged over them, so that a direct and an indirect effect cannot cancel.
    Edges here are not split by position: all keys of a head change together.
    """
    parts = [_scores(part) * len(part.clean) for part in problem.batches(memory=0.25)]
    return EdgeScores(scores=torch.stack(parts).sum(0) / len(problem.clean))


def _scores(part: CircuitProblem) -> Tensor:
    """Return (n_sources, n_destinations), mean absolute effects."""
    corrupted, n_layers = part.writes(part.corrupted), len(part.model.transformer.blocks)
    total, slopes = torch.zeros(part.graph.shape, device=part.model.device), []
    for dropped in range(n_layers):
        seen: dict[int, Tensor] = {}
        with hooked(_drop(part, dropped)), attention_patterns(part.model, _catch(seen)):
            effects = part.edge_attributions(lambda clean: corrupted - clean, per_input=True)
        total += effects.abs().mean(0)
        slopes.append(seen)
    for layer in range(n_layers):
        slope = torch.stack([seen.get(layer, torch.zeros_like(slopes[layer - 1][layer])) for seen in slopes])
        for letter in "qk":
            _recompute(part, corrupted.stack(), slope, layer, letter, total)
    return total / max(1, n_layers - 1)


def _drop(part: CircuitProblem, layer: int) -> Hooks:
    block = part.model.transformer.blocks[layer]
    return [(block.out.module, "out", Tensor.detach), (block.mlp, "out", Tensor.detach)]


def _catch(seen: dict[int, Tensor]) -> PatternEdit:
    """Return an edit that stores the gradient of every pattern as it comes by."""

    def edit(layer: int, scores: Tensor, pattern: Tensor) -> None:
        if pattern.requires_grad:
            pattern.register_hook(lambda gradient: seen.__setitem__(layer, gradient))

    return edit


def _recompute(
    part: CircuitProblem, replacement: Tensor, slope: Tensor, layer: int, letter: str, total: Tensor
) -> None:
    """Set the scores of edges into queries or keys of a layer from the patterns that they make.

    Args:
        part: some pairs.
        replacement: (n_sources, batch, position, d_model) of the corrupted run.
        slope: (n_dropped, batch, n_heads, query, key), the gradient of the metric in the pattern.
        layer: which layer.
        letter: ``q`` or ``k``.
        total: (n_sources, n_destinations) that is written to.
    """
    anatomy, graph = part.model.transformer, part.graph
    columns = [i for i, d in enumerate(graph.destinations) if (d.letter, d.layer) == (letter, layer)]
    n_sources = graph.destinations[columns[0]].n_sources
    for first, change in _pattern_changes(part, replacement, n_sources, layer, columns):
        by_head = torch.einsum("gbhqk,nbhqk->gnbh", slope, change)
        if letter == "k" and len(columns) < anatomy.n_heads:  # a key belongs to a group of heads
            by_head = by_head.unflatten(-1, (len(columns), -1)).sum(-1)
        total[first : first + len(change), columns] = by_head.abs().mean(2).sum(0).to(total)


def _pattern_changes(
    part: CircuitProblem, replacement: Tensor, n_sources: int, layer: int, columns: list[int]
) -> Iterator[tuple[int, Tensor]]:
    """Yield a first source and (n, batch, n_heads, query, key), how the next n sources change the pattern."""
    whole = record_patterns(part.model, part.clean)[layer]
    n_pairs = len(part.clean)
    together = max(1, BATCH_BYTES // (replacement.numel() * replacement.element_size()))
    for first in range(0, n_sources, together):
        count = min(together, n_sources - first)
        cut = torch.zeros(count * n_pairs, *part.graph.shape, dtype=torch.bool)
        for i in range(count):
            cut[i * n_pairs : (i + 1) * n_pairs, first + i, columns] = True
        found: dict[int, Tensor] = {}
        with attention_patterns(part.model, lambda at, _, pattern: found.__setitem__(at, pattern)):  # noqa: B023
            part.repeated(count).patched_logits(replacement.repeat(1, count, 1, 1), cut)
        yield first, found[layer].unflatten(0, (count, n_pairs)) - whole
