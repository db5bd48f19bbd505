"""Unlabelled inputs drawn from a seed: random tokens, or smooth images with noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from interp_bench.model.handle import Model


def draw_tokens(model: Model, n: int, length: int, generator: Generator) -> Tensor:
    """Return (n, length) uniformly random token ids."""
    tokens = torch.randint(model.n_outputs, (n, length), generator=generator)
    return tokens.to(model.device)


def draw_images(model: Model, n: int, generator: Generator) -> Tensor:
    """Return (n, 3, height, width) pixels: smooth colour fields plus white noise, standardised by design."""
    size = model.image_size
    coarse = torch.randn(n, 3, max(2, size // 12), max(2, size // 12), generator=generator)
    smooth = F.interpolate(coarse, size=(size, size), mode="bilinear")
    noise = torch.randn(n, 3, size, size, generator=generator)
    return (0.6 * smooth + 0.5 * noise).to(device=model.device, dtype=model.dtype)
