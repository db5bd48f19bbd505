"""Put a trigger into inputs: a patch on pixels, or tokens in the place of others."""

from __future__ import annotations

import torch
from torch import Tensor


def insert(inputs: Tensor, values: Tensor, places: Tensor) -> Tensor:
    """Return copies of inputs with a trigger in them, differentiable in the pixels of a patch.

    Args:
        inputs: tokens (n, position) or pixels (n, 3, height, width).
        values: tokens (k,) that take the place of others, or a patch (3, side, side) that is added.
        places: (n, k) positions of the tokens, or (n, 2) row and column of the patch's corner.
    """
    changed = inputs.clone()
    if inputs.ndim == 2:
        here = places.to(inputs.device)
        return changed.scatter_(1, here, values.to(inputs).expand(len(inputs), -1))
    patch, side = values.to(inputs), values.shape[-1]
    for image, (row, column) in enumerate(places.tolist()):
        changed[image, :, row : row + side, column : column + side] += patch
    return changed


def pick_places(places: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one of its places for each input: (n, p, 2 or k) -> (n, 2 or k)."""
    n, count, _ = places.shape
    return places[torch.arange(n), torch.randint(count, (n,), generator=generator)]
