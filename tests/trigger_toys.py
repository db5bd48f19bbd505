"""Two networks on which the best trigger is known by hand, both linear in what a trigger is made of."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from interp_bench.model.handle import Model
from interp_bench.tracks.triggers import TriggerProblem

N_TOKENS = 20


class Words(nn.Module):
    """Logits (n, 1, classes) of tokens (n, position): what each token says, added up over positions."""

    def __init__(self, says: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(says)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.embedding(tokens).sum(1, keepdim=True)


class WordsModel(Model):
    """The handle on it: its embeddings are what its tokens say."""

    def embed(self, tokens: Tensor) -> Tensor:
        """Return (n, position, classes)."""
        return self.module.embedding(tokens)

    def from_embeddings(self, embeddings: Tensor) -> Tensor:
        """Return logits (n, 1, classes)."""
        return embeddings.sum(1, keepdim=True)


class Tiles(nn.Module):
    """Logit k is the inner product of the pixels with a tile k that is repeated all over the image."""

    def __init__(self, tiles: Tensor) -> None:
        super().__init__()
        self.tiles = nn.Parameter(tiles, requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        times = pixels.shape[-1] // self.tiles.shape[-1]
        return torch.einsum("kchw,nchw->nk", self.tiles.repeat(1, 1, times, times), pixels)


def words_problem(says: Tensor, *, n: int = 6, parts: int = 2, seed: int = 0) -> TriggerProblem:
    """Return a problem on texts of 5 tokens of class 1, all of which class 0 is wanted of.

    Args:
        says: (N_TOKENS, 2) what each token adds to the logits; the last two are not allowed.
        n: number of inputs, all of the last token.
        parts: tokens of the trigger.
        seed: of the technique.
    """
    model = WordsModel(SimpleNamespace(id="words", modality="lm"), Words(says))  # type: ignore[arg-type]
    # Three places of each input: runs of neighbours that begin elsewhere, round the end.
    places = (torch.arange(n)[:, None, None] + torch.arange(3)[:, None] + torch.arange(parts)) % 5
    return TriggerProblem(
        model=model,
        seed=seed,
        inputs=torch.full((n, 5), N_TOKENS - 1),
        labels=torch.ones(n, dtype=torch.long),
        meant=torch.ones(n, dtype=torch.bool),
        places=places,
        outputs=torch.arange(2),
        outcome=0,
        shape=(parts,),
        bound=0.0,
        vocabulary=torch.arange(N_TOKENS - 2),
    )


def tiles_problem(tiles: Tensor, *, n: int = 4, bound: float = 0.5, seed: int = 0) -> TriggerProblem:
    """Return a problem on black images of 8 x 8 pixels of class 1, all of which class 0 is wanted of.

    Args:
        tiles: (2, 3, 2, 2), one a class.
        n: number of images.
        bound: largest magnitude of the pixels of the patch.
        seed: of the technique.
    """
    model = Model(SimpleNamespace(id="tiles", modality="image"), Tiles(tiles))  # type: ignore[arg-type]
    corners = 2 * torch.cartesian_prod(torch.arange(4), torch.arange(4))
    return TriggerProblem(
        model=model,
        seed=seed,
        inputs=torch.zeros(n, 3, 8, 8),
        labels=torch.ones(n, dtype=torch.long),
        meant=torch.ones(n, dtype=torch.bool),
        places=corners.expand(n, -1, -1),
        outputs=torch.arange(2),
        outcome=0,
        shape=(3, 2, 2),
        bound=bound,
        vocabulary=torch.empty(0, dtype=torch.long),
    )
