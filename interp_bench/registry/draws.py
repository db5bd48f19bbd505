"""Normal draws that give the same weights on every device and in every dtype."""

from __future__ import annotations

import torch

_CHUNK = 1 << 24  # entries drawn at once: a float32 copy of a billion-parameter matrix is never made


@torch.no_grad()
def draw_normal(parameter: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """Fill ``parameter`` in place with N(0, std^2), drawn in float32 on the CPU, a chunk at a time."""
    flat = parameter.data.view(-1)
    for start in range(0, flat.numel(), _CHUNK):
        piece = flat[start : start + _CHUNK]
        piece.copy_(torch.randn(piece.numel(), generator=generator).mul_(std))
