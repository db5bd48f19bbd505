"""The hard concrete distribution: masks in [0, 1], exactly 0 or 1 with some probability."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Louizos, Welling & Kingma 2018, section 4.1, and Cao et al. 2021.
TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1


def sample(log_alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Return a mask shaped like ``log_alpha``, differentiable in it (Louizos et al. 2018, eq. 10-11)."""
    uniform = torch.rand(log_alpha.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(log_alpha)
    logistic = (uniform.logit() + log_alpha) / TEMPERATURE
    return (logistic.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)


def expected_l0(log_alpha: Tensor) -> Tensor:
    """Return the probability that each mask is not zero (Louizos et al. 2018, eq. 12)."""
    return (log_alpha - TEMPERATURE * math.log(-LOW / HIGH)).sigmoid()


def start(shape: tuple[int, ...], share: float, device: torch.device) -> Tensor:
    """Return a ``log_alpha`` whose masks are not zero with probability ``share``."""
    value = math.log(share / (1 - share)) + TEMPERATURE * math.log(-LOW / HIGH)
    return torch.full(shape, value, device=device, requires_grad=True)
