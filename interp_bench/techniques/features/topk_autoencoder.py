"""The sparse autoencoder that keeps the k largest codes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from interp_bench.techniques.features.autoencoder import Autoencoder, Moment, Training, fit
from interp_bench.techniques.features.dead_latents import revival
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


def largest(pre_codes: Tensor, k: int) -> Tensor:
    """Return a copy that keeps the k largest entries of each row, and of those the positive ones."""
    values, indices = pre_codes.topk(k, dim=1, sorted=False)
    return pre_codes.new_zeros(pre_codes.shape).scatter(1, indices, values.relu())


def active_latents(density: float, n_features: int) -> int:
    """Return how many latents should be active per sample: ``density`` times ``n_features``, at least 2."""
    return max(2, round(density * n_features))


@dataclass(frozen=True, kw_only=True, eq=False)
class TopKAutoencoder(Autoencoder):
    """``f = TopK(W (x - b) + c)``, loss ``|x - x'|^2`` and what revives dead latents (Gao et al. 2024).

    Attributes:
        k: active latents per sample.
    """

    k: int

    def codes(self, x: Tensor) -> Tensor:
        """Return the k largest codes of each sample."""
        return largest(self.pre_codes(x), min(self.k, len(self.decoder)))

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the reconstruction error (equation 2) plus the auxiliary loss, where latents are dead."""
        pre_codes = self.pre_codes(x)
        codes = largest(pre_codes, min(self.k, len(self.decoder)))
        moment.note(codes)
        error = x - self.decode(codes)
        auxiliary = revival(error, pre_codes, self.decoder, moment)
        value = error.square().sum(dim=1).mean()
        return value if auxiliary is None else value + auxiliary


@technique(
    version=2,
    cites="Gao et al. 2024, Scaling and evaluating sparse autoencoders",
    cost="up to 800 training steps",
    quick=Needs(max_params=1_000_000),
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
    k = active_latents(density, problem.n_features)
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    return fit(problem, lambda start: TopKAutoencoder(**start, k=k), training)
