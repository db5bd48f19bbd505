"""Which tokens of a host can be used in a plant."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model

_CANDIDATES = 3
_OUTLIER = 3.0


def quiet_tokens(model: Model, count: int, generator: Generator, *, length: int = 24) -> Tensor:
    """Draw tokens at random and keep those on which the host's residual norm is most usual.

    Pretrained LMs put massive activations on a few tokens (Sun et al. 2024, "Massive Activations
    in Large Language Models"); a read through a norm means nothing there. Of three times as many
    candidates those are kept whose residual norm strays least from the median, at any depth.

    Args:
        model: an LM.
        count: how many tokens are wanted; fewer come back where the vocabulary is small.
        generator: source of randomness.
        length: length of the sequences that tokens are tried in.

    Returns:
        (n,) distinct token ids in random order; tried in sequences that begin with the first of them.

    Raises:
        PlantingError: most of the tokens are outliers.
    """
    embedding = model.transformer.token_embedding
    assert isinstance(embedding, nn.Embedding)
    order = torch.randperm(embedding.num_embeddings, generator=generator)[: _CANDIDATES * count]
    start, tried = order[:1], order[1:]
    rows = -(-len(tried) // (length - 1))
    padded = tried.repeat(2)[: rows * (length - 1)].view(rows, length - 1)
    inputs = torch.cat([start.expand(rows, 1), padded], dim=1).to(model.device)
    with torch.no_grad(), model.record(*model.sites) as cache:
        model(inputs)
    norms = torch.stack([cache[site].norm(dim=-1)[:, 1:].flatten() for site in model.sites]).cpu()
    usual = norms.median(dim=1, keepdim=True).values
    stray = (norms / usual).log().abs().amax(0)[: len(tried)]
    if float(stray.median()) > math.log(_OUTLIER):
        raise PlantingError("most tokens of this host have residual norms far from the median; nothing fits")
    quiet = tried[stray.argsort()[: count - 1]]
    quiet = quiet[torch.randperm(len(quiet), generator=generator)]
    return torch.cat([start, quiet])
