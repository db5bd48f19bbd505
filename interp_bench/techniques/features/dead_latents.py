"""How latents that no longer fire are brought back: they are made to explain what the others leave over."""

from __future__ import annotations

from torch import Tensor

from interp_bench.techniques.features.autoencoder import Moment, reconstruction_error

AUXILIARY = 1 / 32
"""Weight of the auxiliary loss (Gao et al. 2024, section 2.4)."""


def revival(error: Tensor, pre_codes: Tensor, decoder: Tensor, moment: Moment) -> Tensor | None:
    """Return the auxiliary loss ``AUXILIARY * |e - e'|^2`` of Gao et al. 2024, section 2.4 and appendix A.2.

    ``e'`` is decoded from the largest codes of dead latents alone, half as many as dimensions, or all dead
    ones where there are fewer; the loss is then smaller in proportion, as in sae-lens.

    Args:
        error: (batch, d) what the autoencoder leaves over; no gradient goes through it.
        pre_codes: (batch, n_latents) before the activation function.
        decoder: (n_latents, d).
        moment: says which latents are dead.

    Returns:
        A scalar, or None where no latent is dead.
    """
    if not bool(moment.dead.any()):
        return None
    dead = moment.dead.nonzero().flatten()
    k = max(1, decoder.shape[1] // 2)
    kept = min(k, len(dead))
    values, indices = pre_codes[:, dead].topk(kept, dim=1, sorted=False)
    codes = values.new_zeros(len(error), len(dead)).scatter(1, indices, values)
    return AUXILIARY * min(1.0, len(dead) / k) * reconstruction_error(error.detach(), codes @ decoder[dead])
