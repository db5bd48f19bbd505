"""The sparse autoencoder that decides apart which latents fire and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

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


@dataclass(frozen=True, kw_only=True, eq=False)
class GatedAutoencoder(Autoencoder):
    """``f = 1[g > 0] * relu(exp(r) * W (x - b) + c)`` with gates ``g = W (x - b) + encoder_bias``.

    Rajamanoharan et al. 2024a, section 3.2, with the weights shared as there.

    Attributes:
        log_scale: (n_latents,) ``r_mag``, by which magnitudes and gates share weights.
        magnitude_bias: (n_latents,) ``c``.
        penalty: per unit of the gates' positive parts.
    """

    log_scale: Tensor
    magnitude_bias: Tensor
    penalty: float

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gates before the step, and codes, each (batch, n_latents)."""
        projected = functional.linear(x, self.encoder, -self.encoder @ self.decoder_bias)
        gates = projected + self.encoder_bias
        magnitudes = torch.addcmul(self.magnitude_bias, projected, self.log_scale.exp()).relu()
        return gates, magnitudes * (gates > 0)

    def codes(self, x: Tensor) -> Tensor:
        """Return magnitudes where the gate is open."""
        return self.both(x)[1]

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return error, penalty on open gates, and the error of decoding gates by the decoder held fast.

        ``|x - x'(f)|^2 + penalty * |relu(g)|_1 + |x - x'_frozen(relu(g))|^2``, section 3.2 of the paper.
        """
        gates, codes = self.both(x)
        opened = gates.relu()
        frozen = torch.addmm(self.decoder_bias.detach(), opened, self.decoder.detach())
        value = reconstruction_error(x, self.decode(codes)) + reconstruction_error(x, frozen)
        return value + self.penalty * opened.sum(dim=1).mean()


@technique(
    cites="Rajamanoharan et al. 2024, Improving dictionary learning with gated sparse autoencoders",
    cost="up to 800 training steps",
    quick=Needs(max_params=100_000),
)
def gated_autoencoder(
    problem: FeatureProblem,
    *,
    sparsity: float = 0.6,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder with gates under an L1 penalty, and magnitudes that the penalty does not shrink.

    Args:
        problem: the problem.
        sparsity: penalty per unit of an open gate, times the square root of the width; twice that of
            ``l1_autoencoder``, since two errors stand against it.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take.
        max_steps: most training steps.
    """
    penalty = sparsity * problem.d_site**0.5
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)

    def make(start: Start) -> GatedAutoencoder:
        zeros = torch.zeros_like(start["encoder_bias"])
        return GatedAutoencoder(**start, log_scale=zeros, magnitude_bias=zeros.clone(), penalty=penalty)

    return fit(problem, make, training)
