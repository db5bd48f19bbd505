"""Detectors: random directions of what a branch reads, with thresholds that give wanted firing rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.branches import Branch

_LEAST_VARIANCE = 1e-3
_STEADY = 0.25
_CONSTANT = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectors:
    """Thresholds on directions of ``x``, scaled so that the mean positive part is the branch's gain.

    Attributes:
        weights: (n, d_in).
        offsets: (n,).
        steady: (d_in,) read that stands in for a bias, where the branch has none.
        drive: (n_samples, n) the positive parts, times the steady read.
    """

    weights: Tensor
    offsets: Tensor
    steady: Tensor | None
    drive: Tensor


def draw_detectors(
    x: Tensor, branch: Branch, rates: Tensor, correlation: float, mirrored: Tensor, generator: Generator
) -> Detectors:
    """Draw detectors on inputs.

    Args:
        x: (n_samples, d_in), float64.
        branch: what they will be wired into.
        rates: (n,) firing rates over ``x``.
        correlation: share of each detector that it has in common with its group.
        mirrored: (n,) bool: detectors that are the opposite of the one before them. As long as the
            rates of the two sum to at most 1, no input is above both thresholds.
        generator: source of randomness.

    Raises:
        PlantingError: the inputs do not vary, or vary too much for a threshold without a bias.
    """
    weights = _whitened(x, len(rates), correlation, generator)
    second = mirrored.nonzero().flatten()
    weights[second] = -weights[second - 1]
    steady = None
    scale = torch.ones(len(x), 1, dtype=torch.float64)
    if not branch.affine:
        steady = steady_read(x)
        scale = (x @ steady)[:, None]
        if not float(scale.std()) <= _STEADY:
            raise PlantingError(
                f"{branch.reads}: no direction is steady enough for a threshold "
                f"(relative spread {float(scale.std()):.2f}, at most {_STEADY})"
            )
    z = x @ weights.T
    offsets = torch.stack([torch.quantile(z[:, i] / scale[:, 0], 1 - rates[i]) for i in range(len(rates))])
    positive = (z - offsets * scale).clamp(min=0)
    mean = positive.sum(0) / (positive > 0).sum(0).clamp(min=1)
    if not bool((mean > 0).all()):
        raise PlantingError(f"{branch.reads}: the inputs do not vary, no detector fires")
    factor = branch.gain / mean
    return Detectors(
        weights=weights * factor[:, None],
        offsets=offsets * factor,
        steady=steady,
        drive=positive * factor * scale,
    )


def _whitened(x: Tensor, n: int, correlation: float, generator: Generator) -> Tensor:
    """Return (n, d_in) random detectors whose readings of ``x`` have variance 1.

    Directions in which a random host hardly varies are left out, or detectors would read noise.
    """
    values, vectors = torch.linalg.eigh(torch.cov(x.T))
    kept = values > _LEAST_VARIANCE * values[-1]
    whiten = vectors[:, kept] / values[kept].sqrt()
    drawn = torch.randn(n, int(kept.sum()), generator=generator, dtype=torch.float64)
    shared = torch.randn(max(2, n // 8), int(kept.sum()), generator=generator, dtype=torch.float64)
    group = torch.randint(len(shared), (n,), generator=generator)
    mixed = math.sqrt(1 - correlation) * F.normalize(drawn, dim=1)
    mixed = mixed + math.sqrt(correlation) * F.normalize(shared, dim=1)[group]
    detectors: Tensor = F.normalize(mixed, dim=1) @ whiten.T
    return detectors


def steady_read(x: Tensor) -> Tensor:
    """Return the read (d,) with mean 1 and least variance over ``x`` (n, d): a bias where there is none."""
    mean = x.mean(0)
    covariance = torch.cov(x.T)
    ridge = _LEAST_VARIANCE * float(covariance.diagonal().mean())
    read: Tensor = torch.linalg.solve(covariance + ridge * torch.eye(x.shape[1], dtype=x.dtype), mean)
    read /= mean @ read
    return read


def is_unsteady(x: Tensor) -> bool:
    """Return whether even the steadiest read of ``x`` (n, d) strays too much for thresholds."""
    return float((x @ steady_read(x)).std()) > _STEADY


def add_constant(model: Model, size: float, generator: Generator) -> None:
    """Give a language model without biases a steady direction, for thresholds to be read from.

    Pretrained streams have one, a large mean. For a random host the same random vector is added to
    the embedding of every token, as long as needed for its share in each dimension. A head tied to
    the embedding then shifts all logits alike, which changes no prediction.

    Args:
        model: the language model.
        size: norm of the centred stream where the constant will be read.
        generator: source of randomness.
    """
    table = model.transformer.token_embedding.weight
    assert isinstance(table, Tensor)
    width = table.shape[1]
    direction = F.normalize(torch.randn(width, generator=generator, dtype=torch.float64), dim=0)
    table.data += (size * min(1.5, _CONSTANT / math.sqrt(width)) * direction).to(table)
