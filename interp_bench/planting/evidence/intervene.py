"""Interventions that certificates of evidence and of triggers share."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import Evidence

_BLOCK = 8  # pixels along a side of the squares that are drawn anew together
_BATCH = 16


def read_logits(model: Model, evidence: Evidence, inputs: Tensor) -> Tensor:
    """Return the logits (n, n_outputs) that patterns raise, in batches, on the CPU."""
    with torch.no_grad():
        return torch.cat([evidence.read(model(batch)).float().cpu() for batch in torch.split(inputs, _BATCH)])


def mix(where: Tensor, inputs: Tensor, other: Tensor) -> Tensor:
    """Take ``inputs`` where the mask (n, position) or (n, height, width) is True, else ``other``."""
    mask = where.to(inputs.device)
    return torch.where(mask[:, None] if inputs.ndim == 4 else mask, inputs, other)


def random_half(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random mask of the shape of ``like``: tokens one by one, pixels in squares."""
    if like.ndim == 2:
        return torch.rand(like.shape, generator=generator) < 0.5
    n, height, width = like.shape
    squares = torch.rand(n, -(-height // _BLOCK), -(-width // _BLOCK), generator=generator) < 0.5
    whole = squares.repeat_interleave(_BLOCK, 1).repeat_interleave(_BLOCK, 2)
    return whole[:, :height, :width]


def spread(sites: list[str], count: int) -> list[str]:
    """Pick up to ``count`` sites evenly, the first and the last among them."""
    steps = max(1, count - 1)
    picked = sorted({round(i * (len(sites) - 1) / steps) for i in range(count)})
    return [sites[i] for i in picked] if sites else []


def interchanged_logits(
    model: Model, evidence: Evidence, site: str, patterns: slice, base: Tensor, source: Tensor
) -> Tensor:
    """Return the logits of ``base`` with the coordinates of some patterns taken from ``source``.

    Args:
        model: the planted model.
        evidence: what was planted.
        site: a site that has carriers.
        patterns: the patterns whose carriers are interchanged, jointly.
        base: inputs (n, ...) that are changed.
        source: inputs (n, ...) that coordinates are taken from.

    Returns:
        (n, n_outputs) logits.
    """
    given = model.activations(source, site, batch_size=_BATCH)
    span = torch.linalg.qr(evidence.carriers[site][patterns].T.double()).Q
    projection = (span @ span.T).to(given)
    logits = []
    for inputs, theirs in zip(base.split(_BATCH), given.split(_BATCH), strict=True):
        logits.append(_swapped(model, evidence, site, inputs, theirs, projection))
    return torch.cat(logits)


def _swapped(
    model: Model, evidence: Evidence, site: str, inputs: Tensor, theirs: Tensor, projection: Tensor
) -> Tensor:
    def swap(mine: Tensor) -> Tensor:
        change = (theirs - mine) @ projection
        if evidence.position is None:
            return mine + change
        only = torch.zeros_like(change)
        only[:, evidence.position] = change[:, evidence.position]
        return mine + only

    with torch.no_grad(), model.patch({site: swap}):
        return evidence.read(model(inputs)).float().cpu()
