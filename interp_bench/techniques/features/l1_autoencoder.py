"""The sparse autoencoder with an L1 penalty."""

from __future__ import annotations

from torch import Tensor

from interp_bench.techniques.features.autoencoder import Autoencoder, Training, fit, reconstruction_error
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


def l1_loss(x: Tensor, codes: Tensor, reconstruction: Tensor, penalty: float) -> Tensor:
    """Return the reconstruction error plus ``penalty`` times the L1 norm of codes (Bricken et al. 2023)."""
    return reconstruction_error(x, reconstruction) + penalty * codes.abs().sum(dim=1).mean()


@technique(
    cites="Bricken et al. 2023, Towards monosemanticity; Cunningham et al. 2023",
    cost="up to 800 training steps",
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

    def encode(model: Autoencoder, x: Tensor) -> Tensor:
        return model.pre_codes(x).relu()

    def loss(x: Tensor, codes: Tensor, reconstruction: Tensor) -> Tensor:
        return l1_loss(x, codes, reconstruction, penalty)

    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    return fit(problem, encode, loss, training)
