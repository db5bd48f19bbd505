"""Interchange of subspaces between two runs of a network, at one site."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.handle import Model


def swap(base: Tensor, source: Tensor, basis: Tensor, position: int | None) -> Tensor:
    """Return ``base`` (n, position, width) with its part in a subspace taken from ``source``.

    Args:
        base: activations that are changed.
        source: activations (n, position, width) that the part is taken from.
        basis: (k, width) orthonormal rows, or (n, k, width) for a subspace of its own in each row.
        position: the position to change; None for all.
    """
    rows = basis.to(base.device, torch.float32)
    where = slice(None) if position is None else slice(position, position + 1 or None)
    difference = (source[:, where] - base[:, where]).float()
    changed = base.clone()
    changed[:, where] = base[:, where] + (difference @ rows.mT @ rows).to(base.dtype)
    return changed


def run_from(model: Model, inputs: Tensor, site: str, values: Tensor) -> Tensor:
    """Return the logits that follow from activations (n, position, width) at a residual-stream site.

    Everything downstream of such a site reads nothing else, so the network in front of it is run
    on a single input only.
    """
    with model.patch({site: values}):
        return model(inputs[:1])
