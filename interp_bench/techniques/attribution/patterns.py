"""Attention patterns of any transformer, as its own forward makes them, and maps of its patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.errors import Inapplicable
from interp_bench.model.attention import spelled_attention
from interp_bench.techniques.attribution.rules import SOFTMAX, Rules
from interp_bench.tracks.attribution import AttributionProblem
from interp_bench.tracks.catalogue import Needs

TRANSFORMERS = Needs(kinds=("native", "gpt2", "llama", "qwen2", "neox", "vit"))


def attention_patterns(problem: AttributionProblem, features: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the logits to explain, (n,), and each layer's pattern (n, head, query, key).

    Gradients of the logits can be taken of the patterns where ``features`` requires one.

    Raises:
        Inapplicable: not every layer's attention was seen.
    """
    seen: list[Tensor] = []

    def softmax(scores: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        pattern = torch.softmax(scores, *args, **_known(kwargs))
        if pattern.ndim == 4:
            seen.append(pattern)
        return pattern

    fused = spelled_attention(torch.matmul, softmax)
    table = {functional.scaled_dot_product_attention: fused, **dict.fromkeys(SOFTMAX, softmax)}
    with Rules(table):
        logit = problem.feature_logit(features)
    if len(seen) != problem.model.n_layers:
        raise Inapplicable(f"saw the attention of {len(seen)} layers of {problem.model.n_layers}")
    return logit, seen


def read_flow(flow: Tensor, problem: AttributionProblem) -> Tensor:
    """Return the values (n, position) or (n, height, width) of what reads the output.

    Args:
        flow: (n, position, position) how much each position, in rows, holds of each place, in columns.
            The class token of a ViT and the last position of an LM read the output.
        problem: what to explain.
    """
    return flow[:, -1] if problem.model.modality == "lm" else patch_pixels(flow[:, 0], problem)


def patch_pixels(tokens: Tensor, problem: AttributionProblem) -> Tensor:
    """Spread the values (n, position) of the patches of a ViT, the last tokens, over their pixels."""
    n, height, width = problem.shape
    patches = tokens[:, problem.model.transformer.n_prefix :]
    side = round(patches.shape[1] ** 0.5)
    grid = patches.reshape(n, 1, side, side)
    return functional.interpolate(grid, size=(height, width), mode="nearest")[:, 0]


def _known(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only ``functional.softmax`` takes."""
    return {name: value for name, value in kwargs.items() if name not in ("_stacklevel",)}
