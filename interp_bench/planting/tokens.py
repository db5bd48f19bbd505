"""Which tokens of a host can be used in a plant."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model

N_PREFIX = 4
"""Fixed tokens in front of every input: pretrained LMs treat the first tokens as sinks."""

_CANDIDATES = 2
_OUTLIER = 3.0
_BUDGET = 600


def quiet_tokens(model: Model, count: int, generator: Generator, *, length: int = 24) -> Tensor:
    """Draw tokens at random and keep those on which the host's residual norm is most usual.

    Pretrained LMs put massive activations on a few tokens (Sun et al. 2024, "Massive Activations
    in Large Language Models"), written by one MLP and taken away by a later one; a read through a
    norm means nothing there. Of twice as many candidates, each tried in several contexts,
    those are kept whose residual norm strays least from the median, at any depth.

    Args:
        model: an LM.
        count: how many tokens are wanted; fewer come back where the vocabulary is small.
        generator: source of randomness.
        length: length of the sequences that tokens are tried in.

    Returns:
        (n,) distinct token ids: first the ``N_PREFIX`` that stand in front, then the quiet ones in
        random order.

    Raises:
        PlantingError: most of the tokens are outliers.
    """
    embedding = model.transformer.token_embedding
    assert isinstance(embedding, nn.Embedding)
    order = torch.randperm(embedding.num_embeddings, generator=generator)[: N_PREFIX + _CANDIDATES * count]
    prefix, tried = order[:N_PREFIX], order[N_PREFIX:]
    stray = _stray(model, prefix, tried, length, generator)
    if float(stray.median()) > math.log(_OUTLIER):
        raise PlantingError("most tokens of this host have residual norms far from the median; nothing fits")
    ranked = tried[stray.argsort()]
    # Only the first few delimiter-like tokens of an input explode: standing in front, the loudest
    # candidates take that on themselves.
    prefix = torch.cat([prefix[:1], ranked[1 - N_PREFIX :].flip(0)])
    quiet = ranked[: min(count, len(ranked)) - N_PREFIX]
    quiet = quiet[torch.randperm(len(quiet), generator=generator)]
    return torch.cat([prefix, quiet])


def _stray(model: Model, prefix: Tensor, tried: Tensor, length: int, generator: Generator) -> Tensor:
    """Return (n_tried,), the largest |log ratio| of a token's residual norm to the median."""
    contexts = max(3, min(8, _BUDGET // len(tried)))
    places = torch.cat([torch.randperm(len(tried), generator=generator) for _ in range(contexts)])
    places = torch.cat([places, places[: -len(places) % (length - N_PREFIX)]])
    rows = places.view(-1, length - N_PREFIX)
    inputs = torch.cat([prefix.expand(len(rows), -1), tried[rows]], dim=1).to(model.device)
    with torch.no_grad(), model.record(*model.sites) as cache:
        model(inputs)
    norms = (
        torch.stack([cache[site].norm(dim=-1)[:, N_PREFIX:].flatten() for site in model.sites]).float().cpu()
    )
    ratio = (norms / norms.median(dim=1, keepdim=True).values).log().abs().amax(0)
    return torch.zeros(len(tried)).scatter_reduce(0, places, ratio, "amax")
