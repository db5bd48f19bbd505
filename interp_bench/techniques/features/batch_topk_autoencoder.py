"""The sparse autoencoder that keeps the largest codes of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.techniques.features.autoencoder import Autoencoder, Moment, Training, fit
from interp_bench.techniques.features.dead_latents import revival
from interp_bench.techniques.features.topk_autoencoder import active_latents
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


def largest_of_batch(pre_codes: Tensor, k: int) -> Tensor:
    """Return a copy (batch, n) that keeps the ``k * batch`` largest entries of all, if they are positive."""
    flat = pre_codes.flatten()
    values, indices = flat.topk(min(k * len(pre_codes), len(flat)), sorted=False)
    return flat.new_zeros(flat.shape).scatter(0, indices, values.relu()).view_as(pre_codes)


def threshold(pre_codes: Tensor, k: int, batch: int) -> Tensor:
    """Return the mean over batches of the least positive code that a batch keeps (Bussmann et al. 2024).

    Args:
        pre_codes: (n_samples, n_latents), taken ``batch`` rows at a time.
        k: active latents per sample.
        batch: samples a batch; an incomplete last one is left out unless it is the only one.
    """
    batches = pre_codes.split(batch)
    least = []
    for part in batches[:-1] if len(batches) > 1 and len(batches[-1]) < batch else batches:
        kept = largest_of_batch(part, k)
        if bool((kept > 0).any()):
            least.append(kept[kept > 0].min())
    return torch.stack(least).mean() if least else pre_codes.new_zeros(())


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchTopKAutoencoder(Autoencoder):
    """``f = BatchTopK(W (x - b) + c)``, loss ``|x - x'|^2`` and what revives dead latents.

    Bussmann et al. 2024; at inference a threshold takes the place of the batch.

    Attributes:
        k: active latents per sample, on average over a batch.
        batch: samples a batch, when the threshold is measured.
    """

    k: int
    batch: int

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes above the threshold, which is measured on ``x``."""
        pre_codes = self.pre_codes(x)
        return pre_codes * (pre_codes >= threshold(pre_codes, self.k, self.batch)) * (pre_codes > 0)

    def error(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return what codes leave of ``x`` (batch, d), and the loss that is made of it."""
        error = x - self.decode(codes)
        return error, error.square().sum(dim=1).mean()

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the loss of reconstruction plus the auxiliary loss, where latents are dead."""
        pre_codes = self.pre_codes(x)
        codes = largest_of_batch(pre_codes, self.k)
        moment.note(codes)
        error, value = self.error(x, codes)
        auxiliary = revival(error, pre_codes, self.decoder, moment)
        return value if auxiliary is None else value + auxiliary


@technique(
    cites="Bussmann, Leask and Nanda 2024, BatchTopK sparse autoencoders",
    cost="up to 800 training steps",
    quick=Needs(max_params=100_000),
)
def batch_topk_autoencoder(
    problem: FeatureProblem,
    *,
    density: float = 0.06,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder in which k latents are active per sample on average, and more where more are needed.

    Args:
        problem: the problem.
        density: active latents per planted feature; k is this times ``n_features``, at least 2.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take.
        max_steps: most training steps.
    """
    k = active_latents(density, problem.n_features)
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    return fit(problem, lambda start: BatchTopKAutoencoder(**start, k=k, batch=training.batch), training)
