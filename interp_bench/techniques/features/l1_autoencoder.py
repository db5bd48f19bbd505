"""The sparse autoencoder with an L1 penalty."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from interp_bench.techniques.features.autoencoder import (
    Autoencoder,
    Moment,
    Training,
    fit,
    reconstruction_error,
)
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@dataclass(frozen=True, kw_only=True, eq=False)
class L1Autoencoder(Autoencoder):
    """``f = relu(W (x - b) + c)``, loss ``|x - x'|^2 + penalty * |f|_1`` (Bricken et al. 2023).

    Attributes:
        penalty: per unit of code, where the decoder's rows have unit norm.
    """

    penalty: float

    def codes(self, x: Tensor) -> Tensor:
        """Return the positive parts of the codes before activation."""
        return self.pre_codes(x).relu()

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the reconstruction error plus the penalty times the L1 norm of codes."""
        codes = self.codes(x)
        return reconstruction_error(x, self.decode(codes)) + self.penalty * codes.sum(dim=1).mean()


@technique(
    version=2,
    cites="Bricken et al. 2023, Towards monosemanticity; Cunningham et al. 2023",
    cost="up to 800 training steps",
    quick=Needs(max_params=1_000_000),
)
def l1_autoencoder(
    problem: FeatureProblem,
    *,
    sparsity: float = 0.3,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder with ReLU codes, an L1 penalty and a decoder of unit norm.

    Args:
        problem: the problem.
        sparsity: penalty per unit of code, times the square root of the width: samples are scaled to
            that norm, so one value suits all widths.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take.
        max_steps: most training steps.
    """
    penalty = sparsity * problem.d_site**0.5
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    return fit(problem, lambda start: L1Autoencoder(**start, penalty=penalty), training)
