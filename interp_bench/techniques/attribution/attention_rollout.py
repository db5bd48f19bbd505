"""Attention rollout: what the class token attends to, through all layers."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique


@technique(
    cites="Abnar and Zuidema 2020, Quantifying attention flow in transformers, section 3",
    access="activations",
    cost="1 forward",
    needs=Needs(modalities=("image",), kinds=("vit",)),
)
def attention_rollout(problem: AttributionProblem) -> Saliency:
    """Product over layers of (mean attention pattern + identity) / 2, read at the class token."""
    model = problem.model
    layers = range(model.n_layers)
    names = [f"blocks.{layer}.attn.hook_{letter}" for layer in layers for letter in "qk"]
    with torch.no_grad(), model.record(*names) as cache:
        model(problem.inputs)
    rollout: Tensor | None = None
    for layer in layers:
        query, key = (cache[f"blocks.{layer}.attn.hook_{letter}"] for letter in "qk")
        pattern = _pattern(query, key, model.n_heads)
        mixed = (pattern + torch.eye(pattern.shape[-1], device=pattern.device)) / 2
        rollout = mixed if rollout is None else mixed @ rollout
    assert rollout is not None
    return Saliency(values=_to_pixels(rollout[:, 0], problem))


def _pattern(query: Tensor, key: Tensor, n_heads: int) -> Tensor:
    """Return the attention pattern (n, position, position), averaged over heads."""
    n, position, width = query.shape
    query, key = (
        side.float().view(n, position, n_heads, width // n_heads).transpose(1, 2) for side in (query, key)
    )
    scores = query @ key.transpose(-1, -2) / (width // n_heads) ** 0.5
    return torch.softmax(scores, dim=-1).mean(1)


def _to_pixels(tokens: Tensor, problem: AttributionProblem) -> Tensor:
    """Spread the values of the patches, the last tokens, over their pixels."""
    n, height, width = problem.shape
    patches = tokens[:, problem.model.transformer.n_prefix :]
    side = round(patches.shape[1] ** 0.5)
    grid = patches.reshape(n, 1, side, side)
    return torch.nn.functional.interpolate(grid, size=(height, width), mode="nearest")[:, 0]
