"""The sparse autoencoder with a learned threshold per latent and an L0 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp_bench.techniques.features.autoencoder import (
    Autoencoder,
    Moment,
    Start,
    Training,
    fit,
    reconstruction_error,
)
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem

_WARM_UP = 1 / 3
"""Share of the training over which the penalty rises linearly to its value."""


def rectangle(x: Tensor) -> Tensor:
    """Return 1 where ``|x| < 1/2``, else 0."""
    return (x.abs() < 0.5).to(x)


class Step(torch.autograd.Function):
    """``H(z - theta)`` with the pseudo-derivative of Rajamanoharan et al. 2024b, section 3."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, bandwidth: float) -> Tensor:
        """Return 1 where ``z`` (batch, n) is above ``theta`` (n,)."""
        ctx.save_for_backward(z, theta)
        ctx.bandwidth = bandwidth
        return (z > theta).to(z)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        """Give ``theta`` the gradient ``-K((z - theta) / bandwidth) / bandwidth``, and ``z`` none."""
        z, theta = ctx.saved_tensors
        kernel = rectangle((z - theta) / ctx.bandwidth)
        return None, -(kernel * gradient).sum(dim=0) / ctx.bandwidth, None


class JumpReLU(torch.autograd.Function):
    """``z H(z - theta)`` with the pseudo-derivative of Rajamanoharan et al. 2024b, section 3."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, theta: Tensor, bandwidth: float) -> Tensor:
        """Return ``z`` (batch, n) where it is above ``theta`` (n,), else 0."""
        ctx.save_for_backward(z, theta)
        ctx.bandwidth = bandwidth
        return z * (z > theta)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """Give ``theta`` the gradient ``-theta K((z - theta) / bandwidth) / bandwidth``."""
        z, theta = ctx.saved_tensors
        kernel = rectangle((z - theta) / ctx.bandwidth)
        moved = -theta * (kernel * gradient).sum(dim=0) / ctx.bandwidth
        return gradient * (z > theta), moved, None


@dataclass(frozen=True, kw_only=True, eq=False)
class JumpReLUAutoencoder(Autoencoder):
    """``f = JumpReLU(W (x - b) + c)``, loss ``|x - x'|^2 + penalty * |f|_0`` (section 3 of the paper).

    Attributes:
        log_threshold: (n_latents,) logarithms of the thresholds.
        penalty: per active latent.
        bandwidth: width of the window around the threshold in which codes move it.
        warm_up: share of the training over which the penalty rises to its value.
    """

    log_threshold: Tensor
    penalty: float
    bandwidth: float
    warm_up: float = _WARM_UP

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes above their thresholds."""
        pre_codes = self.pre_codes(x)
        return pre_codes * (pre_codes > self.log_threshold.exp())

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the reconstruction error plus the penalty for each active latent."""
        pre_codes, theta = self.pre_codes(x), self.log_threshold.exp()
        codes: Tensor = JumpReLU.apply(pre_codes, theta, self.bandwidth)
        active: Tensor = Step.apply(pre_codes, theta, self.bandwidth)
        penalty = self.penalty * min(1.0, moment.progress / self.warm_up) if self.warm_up else self.penalty
        return reconstruction_error(x, self.decode(codes)) + penalty * active.sum(dim=1).mean()


@technique(
    cites="Rajamanoharan et al. 2024, Jumping ahead: JumpReLU sparse autoencoders, sections 3 and 4",
    cost="up to 800 training steps",
    quick=Needs(max_params=100_000),
)
def jumprelu_autoencoder(
    problem: FeatureProblem,
    *,
    sparsity: float = 2.0,
    bandwidth: float = 0.5,
    first_threshold: float = 0.5,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder that learns a threshold per latent under a penalty on the number of active ones.

    The paper trains for 10^5 times as many samples, and so has a narrow window (0.001 where samples have
    norm 1) and as low a first threshold. Here few samples would fall into it.

    Args:
        problem: the problem.
        sparsity: penalty per active latent; samples are scaled to a squared norm of the width.
        bandwidth: width of the window around a threshold in which codes move it.
        first_threshold: what thresholds start from.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take.
        max_steps: most training steps.
    """
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)

    def make(start: Start) -> JumpReLUAutoencoder:
        logs = torch.full_like(start["encoder_bias"], first_threshold).log()
        return JumpReLUAutoencoder(**start, log_threshold=logs, penalty=sparsity, bandwidth=bandwidth)

    return fit(problem, make, training)
