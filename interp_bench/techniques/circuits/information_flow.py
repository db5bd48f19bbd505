"""Information flow routes: what each source contributes to the sums that make up the residual stream."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.attention import record_patterns
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.techniques.circuits.propagation import TRANSFORMERS
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Ferrando & Voita 2024, Information Flow Routes, eq. 4-6 (importance) and algorithm 1 (routes)",
    access="activations",
    cost="3 forwards an input",
    needs=Needs(kinds=TRANSFORMERS),
    quick=Needs(max_params=1_000_000),
)
def information_flow_routes(problem: CircuitProblem) -> EdgeScores:
    """The largest threshold at which an edge lies on a route to the prediction; no corrupted input is used.

    A term of a sum is as important as it is near to the sum in l1, and the shares of all terms add up to
    one. Terms are what sources write into the stream at a position, and what a head brings from every
    position. From the prediction downwards only edges above a threshold are followed, so that an edge
    scores by the weakest link of its best route. Output biases are left out of the sums. What writes most
    ranks first, whether or not this outcome hangs on it: among the noise of random weights that may be no
    better than guessing.
    """
    parts = [_routes(pair) for pair in problem.pairs()]
    return EdgeScores(scores=torch.stack(parts).mean(0))


def shares(terms: Tensor) -> Tensor:
    """Return (n, ...), how important each term (n, ..., d) is for the sum over terms, in shares of one.

    The importance is max(|sum| - |sum - term|, 0) in the l1 norm, over the total of all terms.
    """
    whole = terms.sum(0)
    near = (whole.abs().sum(-1) - (whole - terms).abs().sum(-1)).clamp(min=0)
    return near / near.sum(0).clamp(min=1e-30)


def _routes(problem: CircuitProblem) -> Tensor:
    """Return (n_sources, n_destinations) scores on the first and only clean input."""
    model, graph = problem.model, problem.graph
    anatomy = model.transformer
    written = problem.source_outputs(problem.clean)[:, 0].float()  # (n_sources, position, d_model)
    within = _within_heads(problem)
    rows = {name: row for row, name in enumerate(graph.sources)}
    leaving = torch.zeros(written.shape[:2], device=written.device)  # the best route from a source on
    scores = torch.zeros(graph.shape, device=written.device)
    at: dict[int, Tensor] = {}
    for column in reversed(range(graph.shape[1])):
        d = graph.destinations[column]
        n = d.n_sources
        if n not in at:
            at = {n: shares(written[:n])}
        if d.letter == "o":
            entering = torch.zeros_like(leaving[0])
            entering[0 if model.modality == "image" else -1] = 1
        elif d.letter == "m":
            entering = leaving[rows[f"m{d.layer}"]]
        else:
            assert d.layer is not None
            assert d.head is not None
            heads = _heads(anatomy, d.letter, d.head)
            first = rows[f"a{d.layer}.h0"]
            entering = torch.stack(
                [_entering(leaving[first + h], within[d.layer][h], d.letter) for h in heads]
            )
            entering = entering.amax(0)
        through = torch.minimum(at[n], entering)
        leaving[:n] = torch.maximum(leaving[:n], through)
        scores[:n, column] = through.amax(1)
    return scores


def _heads(anatomy: TransformerAnatomy, letter: str, head: int) -> list[int]:
    if letter == "q":
        return [head]
    return [h for h in range(anatomy.n_heads) if anatomy.kv_head(h) == head]


def _entering(leaving: Tensor, within: Tensor, letter: str) -> Tensor:
    """Return (position,), the best route from a head's input on, given that from its output on.

    A query is needed where the head writes; keys and values where it reads, as far as they matter.
    """
    return leaving if letter == "q" else torch.minimum(leaving[:, None], within).amax(0)


def _within_heads(problem: CircuitProblem) -> list[Tensor]:
    """Return for each layer (n_heads, query, key), shares of positions in what a head writes."""
    model, anatomy = problem.model, problem.model.transformer
    patterns = record_patterns(model, problem.clean)
    names = [f"blocks.{layer}.attn.hook_v" for layer in range(len(anatomy.blocks))]
    with torch.no_grad(), model.record(*names) as cache:
        model(problem.clean)
    found = []
    for layer, pattern in enumerate(patterns):
        values = cache[names[layer]][0].unflatten(-1, (-1, anatomy.d_head))  # (position, n_kv_heads, d_head)
        by_head = []
        for head in range(anatomy.n_heads):
            rows = anatomy.blocks[layer].out.view()[head * anatomy.d_head : (head + 1) * anatomy.d_head]
            moved = (values[:, anatomy.kv_head(head)] @ rows).float()  # (key, d_model)
            terms = pattern[0, head].float().T[:, :, None] * moved[:, None]  # (key, query, d_model)
            by_head.append(shares(terms).T)
        found.append(torch.stack(by_head))
    return found
