"""The sparse autoencoder whose first latents must reconstruct by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from interp_bench.techniques.features.autoencoder import Start, Training, fit
from interp_bench.techniques.features.batch_topk_autoencoder import BatchTopKAutoencoder
from interp_bench.techniques.features.topk_autoencoder import active_latents
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


def prefixes(n: int, levels: int) -> tuple[int, ...]:
    """Return nested numbers of latents, each half of the next, up to ``n``; equal ones are left out."""
    return tuple(sorted({max(1, n >> level) for level in range(levels)}))


@dataclass(frozen=True, kw_only=True, eq=False)
class MatryoshkaAutoencoder(BatchTopKAutoencoder):
    """BatchTopK whose loss is ``sum_m |x - (f_{<m} D_{<m} + b)|^2`` (Bussmann et al. 2025, section 3).

    Attributes:
        nested: numbers of first latents that reconstruct by themselves, rising; the last is all.
    """

    nested: tuple[int, ...]

    def error(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return what all codes leave of ``x`` (batch, d), and the sum of errors over prefixes."""
        rest = x - self.decoder_bias
        value = x.new_zeros(())
        for start, stop in pairwise((0, *self.nested)):
            rest = rest.addmm(codes[:, start:stop], self.decoder[start:stop], alpha=-1)
            value = value + rest.square().sum(dim=1).mean()
        return rest, value


@technique(
    cites="Bussmann et al. 2025, Learning multi-level features with Matryoshka SAEs, section 3",
    cost="up to 800 training steps",
    quick=Needs(max_params=100_000),
)
def matryoshka_autoencoder(
    problem: FeatureProblem,
    *,
    levels: int = 4,
    density: float = 0.06,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder over BatchTopK in which the first half of latents reconstructs alone, and its half.

    Args:
        problem: the problem.
        levels: how many nested dictionaries; the paper has five, with many more latents.
        density: active latents per planted feature; k is this times ``n_features``, at least 2.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take.
        max_steps: most training steps.
    """
    k = active_latents(density, problem.n_features)
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)

    def make(start: Start) -> MatryoshkaAutoencoder:
        nested = prefixes(len(start["decoder"]), levels)
        return MatryoshkaAutoencoder(**start, k=k, batch=training.batch, nested=nested)

    return fit(problem, make, training)
