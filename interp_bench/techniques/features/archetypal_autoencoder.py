"""The sparse autoencoder whose features are mixtures of the data's own points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.features.autoencoder import (
    Coder,
    Moment,
    Start,
    Training,
    fit,
    reconstruction_error,
    standardised,
)
from interp_bench.techniques.features.dead_latents import revival
from interp_bench.techniques.features.topk_autoencoder import active_latents, largest
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem

_SHARPNESS = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ArchetypalAutoencoder(Coder):
    """TopK codes over ``D = W C + L``, rows of ``W`` summing to 1, rows of ``L`` of norm up to ``delta``.

    Fel et al. 2025, A-SAE and RA-SAE. There ``W`` is put back onto the simplex after each step; here it
    is a softmax, which never leaves it. Rows of ``D`` are scaled to unit norm, and codes take the scale.

    Attributes:
        encoder: (n_latents, d).
        encoder_bias: (n_latents,).
        logits: (n_latents, n_points) of the mixture.
        relaxation: (n_latents, d), ``L``.
        decoder_bias: (d,).
        points: (n_points, d) of the data, not trained.
        delta: largest norm of a row of the relaxation.
        k: active latents per sample.
    """

    encoder: Tensor
    encoder_bias: Tensor
    logits: Tensor
    relaxation: Tensor
    decoder_bias: Tensor
    points: Tensor
    delta: float
    k: int

    @property
    def tensors(self) -> list[Tensor]:
        """All but the points."""
        return [self.encoder, self.encoder_bias, self.logits, self.relaxation, self.decoder_bias]

    @property
    def archetypes(self) -> Tensor:
        """(n_latents, d) mixtures of points plus their relaxation, as long as they are."""
        return torch.addmm(self.relaxation, self.logits.softmax(dim=1), self.points)

    @property
    def directions(self) -> Tensor:
        """The archetypes, scaled to unit norm."""
        return functional.normalize(self.archetypes, dim=1)

    def pre_codes(self, x: Tensor) -> Tensor:
        """Return (batch, n_latents) before the activation function."""
        return functional.linear(x, self.encoder, self.encoder_bias - self.encoder @ self.decoder_bias)

    def codes(self, x: Tensor) -> Tensor:
        """Return the k largest codes of each sample."""
        return largest(self.pre_codes(x), min(self.k, len(self.encoder)))

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the reconstruction error plus the auxiliary loss, where latents are dead."""
        pre_codes, directions = self.pre_codes(x), self.directions
        codes = largest(pre_codes, min(self.k, len(self.encoder)))
        moment.note(codes)
        reconstruction = torch.addmm(self.decoder_bias, codes, directions)
        value = reconstruction_error(x, reconstruction)
        auxiliary = revival(x - reconstruction, pre_codes, directions, moment)
        return value if auxiliary is None else value + auxiliary

    def settle(self) -> None:
        """Shorten rows of the relaxation to ``delta``, in place."""
        norms = self.relaxation.norm(dim=1, keepdim=True)
        self.relaxation.mul_((self.delta / norms.clamp(min=1e-12)).clamp(max=1))


def centroids(x: Tensor, n: int, seed: int) -> Tensor:
    """Return centres (n, d) of clusters of samples: points of their convex hull with little noise."""
    fitted = MiniBatchKMeans(n_clusters=min(n, len(x)), n_init=1, max_iter=10, random_state=seed % 2**32)
    return torch.as_tensor(fitted.fit(x.cpu().numpy()).cluster_centers_).to(x)


def started(start: Start, points: Tensor, *, delta: float, k: int) -> ArchetypalAutoencoder:
    """Return an autoencoder whose latents start close to the points that their directions point to."""
    n = len(start["decoder"])
    nearest = (start["decoder"] @ functional.normalize(points, dim=1).T).argmax(dim=1)
    logits = torch.zeros(n, len(points), device=points.device)
    logits.scatter_(1, nearest[:, None], math.log(len(points)) + _SHARPNESS)
    return ArchetypalAutoencoder(
        encoder=functional.normalize(points[nearest], dim=1),
        encoder_bias=start["encoder_bias"],
        logits=logits,
        relaxation=torch.zeros_like(start["decoder"]),
        decoder_bias=start["decoder_bias"],
        points=points,
        delta=delta,
        k=k,
    )


@technique(
    cites="Fel et al. 2025, Archetypal SAE: adaptive and stable dictionary learning for concept extraction",
    cost="k-means, then up to 800 training steps",
    quick=Needs(max_params=100_000),
)
def archetypal_autoencoder(
    problem: FeatureProblem,
    *,
    points: float = 4.0,
    delta: float = 0.1,
    density: float = 0.06,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder whose directions are mixtures of cluster centres of the data, but for a little.

    Args:
        problem: the problem.
        points: cluster centres per latent.
        delta: how far a direction may leave their convex hull, per norm of a typical sample.
        density: active latents per planted feature; k is this times ``n_features``, at least 2.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take, mixing of points not counted.
        max_steps: most training steps.
    """
    k = active_latents(density, problem.n_features)
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    x = standardised(problem.activations())

    def make(start: Start) -> ArchetypalAutoencoder:
        centres = centroids(x, round(points * len(start["decoder"])), problem.seed)
        return started(start, centres, delta=delta * problem.d_site**0.5, k=k)

    return fit(problem, make, training)
