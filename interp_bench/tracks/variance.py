"""How much of the variance of samples directions span, or codes explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_ROUNDING = 1e-10
"""An eigenvalue below this share of the largest is rounding."""

_SPANNED = 1e-8
"""So is what a direction adds to others, below this share of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Centred:
    """Samples less their mean.

    Attributes:
        values: (n_samples, d), float64.
        total: sum of their squares.
    """

    values: Tensor
    total: float


_CENTRED = WeakTensorKeyDictionary()
"""By the samples as they were recorded, for as long as those are: dozens of answers are graded on them."""


def centred(samples: Tensor) -> Centred:
    """Return samples (n_samples, d) less their mean; once for each tensor, which has to stay as it is."""
    found: Centred | None = _CENTRED.get(samples)
    if found is None:
        values = samples.detach().cpu().double()
        values = values - values.mean(0)
        found = _CENTRED[samples] = Centred(values=values, total=float(values.square().sum()))
    return found


def explained(samples: Centred, regressors: Tensor) -> float:
    """Return R2 of the least-squares fit of ``samples`` (n, d) on ``regressors`` (n, k), float64."""
    codes = regressors - regressors.mean(0)
    codes /= codes.norm(dim=0).clamp(min=torch.finfo(codes.dtype).tiny)
    values, vectors = torch.linalg.eigh(codes.T @ codes)
    kept = values > values[-1] * _ROUNDING  # the rest: repeated or silent codes
    shared = vectors[:, kept].T @ (codes.T @ samples.values)
    return float((shared.square() / values[kept, None]).sum() / samples.total)


def within(samples: Centred, directions: Tensor) -> float:
    """Return the share of the variance of ``samples`` (n, d) in the span of ``directions`` (k, d)."""
    columns, width = directions.T.numpy(), samples.values.shape[1]
    if len(directions) >= width and _rank(_triangle(columns)) == width:
        return 1.0
    basis, triangle, _ = scipy.linalg.qr(columns, mode="economic", pivoting=True, check_finite=False)
    spanned = torch.from_numpy(basis[:, : _rank(triangle)])
    return float((samples.values @ spanned).square().sum() / samples.total)


def _triangle(columns: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
    return scipy.linalg.qr(columns, mode="r", pivoting=True, check_finite=False)[0]


def _rank(triangle: NDArray[np.floating[Any]]) -> int:
    sizes = abs(triangle.diagonal())  # falling, so that what is below the bound is rounding
    return int((sizes > sizes[0] * _SPANNED).sum())
