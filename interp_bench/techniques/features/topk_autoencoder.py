"""The sparse autoencoder that keeps the k largest codes."""

from __future__ import annotations

from torch import Tensor

from interp_bench.techniques.features.autoencoder import Autoencoder, Training, fit, reconstruction_error
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


def largest(pre_codes: Tensor, k: int) -> Tensor:
    """Return a copy that keeps the k largest entries of each row, and of those the positive ones."""
    values, indices = pre_codes.topk(k, dim=1)
    return pre_codes.new_zeros(pre_codes.shape).scatter(1, indices, values.relu())


def topk_loss(x: Tensor, codes: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the reconstruction error alone (Gao et al. 2024, equation 2)."""
    return reconstruction_error(x, reconstruction)


@technique(
    cites="Gao et al. 2024, Scaling and evaluating sparse autoencoders", cost="up to 800 training steps"
)
def topk_autoencoder(
    problem: FeatureProblem,
    *,
    density: float = 0.06,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder in which exactly k latents are active per sample.

    Args:
        problem: the problem.
        density: active latents per planted feature; k is this times ``n_features``, at least 2.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take.
        max_steps: most training steps.
    """
    k = max(2, round(density * problem.n_features))

    def encode(model: Autoencoder, x: Tensor) -> Tensor:
        return largest(model.pre_codes(x), min(k, len(model.decoder)))

    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    return fit(problem, encode, topk_loss, training)
