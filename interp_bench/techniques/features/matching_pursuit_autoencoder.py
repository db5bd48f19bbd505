"""The sparse autoencoder whose encoder is matching pursuit, unrolled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.techniques.features.autoencoder import Coder, Moment, Training, fit, normalise
from interp_bench.techniques.features.topk_autoencoder import active_latents
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


def pursue(x: Tensor, decoder: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Take the best atom off the residual, ``steps`` times (Mallat and Zhang 1993; Costa et al. 2025).

    The gradient goes through the atoms that were chosen, not through the choice.

    Args:
        x: (batch, d), centred.
        decoder: (n_latents, d), rows of unit norm.
        steps: how often; an atom can be chosen again.

    Returns:
        The codes (batch, n_latents), at least 0, and the last residual (batch, d).
    """
    codes, residual = x.new_zeros(len(x), len(decoder)), x
    for _ in range(steps):
        chosen = (residual.detach() @ decoder.detach().T).argmax(dim=1)
        atoms = decoder[chosen]
        values = (residual * atoms).sum(dim=1, keepdim=True).relu()
        codes = codes.scatter_add(1, chosen[:, None], values)
        residual = torch.addcmul(residual, values, atoms, value=-1)
    return codes, residual


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchingPursuitAutoencoder(Coder):
    """``r = x - b``; in each step ``j = argmax D r``, ``z_j += D_j r``, ``r -= D_j (D_j r)``; loss ``|r|^2``.

    Attributes:
        decoder: (n_latents, d), rows of unit norm; it is the encoder too.
        decoder_bias: (d,).
        steps: steps of the pursuit, and so the most latents active per sample.
    """

    decoder: Tensor
    decoder_bias: Tensor
    steps: int

    @property
    def tensors(self) -> list[Tensor]:
        """The decoder and its bias."""
        return [self.decoder, self.decoder_bias]

    @property
    def directions(self) -> Tensor:
        """The rows of the decoder."""
        return self.decoder

    def codes(self, x: Tensor) -> Tensor:
        """Return what each atom took off the residual."""
        return pursue(x - self.decoder_bias, self.decoder, self.steps)[0]

    def loss(self, x: Tensor, moment: Moment) -> Tensor:
        """Return the squared norm of the last residual, which is the error of reconstruction."""
        residual = pursue(x - self.decoder_bias, self.decoder, self.steps)[1]
        return residual.square().sum(dim=1).mean()

    def settle(self) -> None:
        """Scale the decoder's rows to unit norm, in place."""
        normalise(self.decoder)


@technique(
    cites="Costa et al. 2025, From flat to hierarchical: extracting sparse representations with matching "
    "pursuit, section 3; Mallat and Zhang 1993",
    cost="up to 800 training steps, each of k products with the dictionary",
    quick=Needs(max_params=100_000),
)
def matching_pursuit_autoencoder(
    problem: FeatureProblem,
    *,
    density: float = 0.06,
    expansion: float = 2.0,
    budget: float = 3.5e10,
    max_steps: int = 800,
) -> Dictionary:
    """Sparse autoencoder that encodes by matching pursuit: one latent at a time explains what is left over.

    Args:
        problem: the problem.
        density: active latents per planted feature; k is this times ``n_features``, at least 2.
        expansion: latents per planted feature.
        budget: multiply-adds that training may take, where encoding is one product.
        max_steps: most training steps.
    """
    k = active_latents(density, problem.n_features)
    training = Training(expansion=expansion, budget=budget, max_steps=max_steps)
    return fit(
        problem,
        lambda start: MatchingPursuitAutoencoder(
            decoder=start["decoder"], decoder_bias=start["decoder_bias"], steps=k
        ),
        training,
    )
