"""The tokens of evidence in a language model, and inputs made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import DECOY, Scene, Stimuli
from interp_bench.planting.tokens import N_PREFIX, quiet_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphabet:
    """Disjoint sets of tokens.

    Attributes:
        prefix: what stands in front of every input, and nowhere else.
        markers: (n_patterns, 2) two spellings of each pattern.
        outputs: (n_patterns,) the token whose logit each pattern raises.
        decoys: tokens that look as strong as markers and do nothing.
        fillers: all the rest.
    """

    prefix: Tensor
    markers: Tensor
    outputs: Tensor
    decoys: Tensor
    fillers: Tensor

    @classmethod
    def draw(cls, model: Model, n_patterns: int, generator: torch.Generator, *, length: int) -> Alphabet:
        """Draw an alphabet from the quiet tokens of an LM.

        Raises:
            PlantingError: the vocabulary is too small.
        """
        n = n_patterns
        tokens = quiet_tokens(model, 5 * n + 40, generator, length=length)
        prefix, order = tokens[:N_PREFIX], tokens[N_PREFIX:]
        if len(order) < 6 * n:
            raise PlantingError(f"{n} patterns need {6 * n} usable tokens, the vocabulary has {len(order)}")
        return cls(
            prefix=prefix,
            markers=order[: 2 * n].view(n, 2),
            outputs=order[2 * n : 3 * n],
            decoys=order[3 * n : 4 * n],
            fillers=order[4 * n :],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSampler:
    """Draws token sequences that show patterns; the last token is always a filler.

    Attributes:
        alphabet: the tokens.
        scene: what else is in an input, and how patterns stand.
        device: where the inputs go.
    """

    alphabet: Alphabet
    scene: Scene
    device: torch.device

    def __call__(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        """Draw inputs that show the patterns ``classes`` (n, k), NONE or DECOY, at random places."""
        n, k = classes.shape
        length, copies = self.scene.length, self.scene.copies
        tokens = self._fillers(n, generator)
        tokens[:, :N_PREFIX] = self.alphabet.prefix
        masks = torch.zeros(n, k, length, dtype=torch.bool)
        places = self._places(n, k, generator)
        rows = torch.arange(n)
        for slot in range(k * copies):
            column, group = places[:, slot], slot // copies
            pattern = classes[:, group]
            spelling = torch.randint(2, (n,), generator=generator)
            marker = self.alphabet.markers[pattern.clamp(min=0), spelling]
            shown = pattern >= 0
            tokens[rows[shown], column[shown]] = marker[shown]
            masks[rows[shown], group, column[shown]] = True
            replaced = pattern == DECOY
            tokens[rows[replaced], column[replaced]] = self.alphabet.decoys[slot % len(self.alphabet.decoys)]
        for slot in range(k * copies, k * copies + self.scene.decoys):
            tokens[rows, places[:, slot]] = _pick(self.alphabet.decoys, (n,), generator)
        return Stimuli(inputs=tokens.to(self.device), masks=masks)

    def _fillers(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n, position) fillers."""
        pool, shape = self.alphabet.fillers, (n, self.scene.length)
        if self.scene.zipf == 0:
            return _pick(pool, shape, generator)
        odds = torch.arange(1, len(pool) + 1, dtype=torch.float64) ** -self.scene.zipf
        drawn = torch.multinomial(odds, n * self.scene.length, replacement=True, generator=generator)
        return pool[drawn.view(shape)]

    def _places(self, n: int, k: int, generator: torch.Generator) -> Tensor:
        """Draw (n, position) positions: first those of the copies of each of k patterns, then the rest."""
        length, copies = self.scene.length, self.scene.copies
        room = length - N_PREFIX - 1
        if not self.scene.together:
            return torch.rand(n, room, generator=generator).argsort(1) + N_PREFIX
        if k * copies > room:
            raise PlantingError(f"{k} spans of {copies} tokens do not fit into inputs of {length} tokens")
        # Spans and single tokens in random order: their starts are what came before them.
        sizes = torch.cat([torch.full((k,), copies), torch.ones(room - k * copies, dtype=torch.long)])
        order = torch.rand(n, len(sizes), generator=generator).argsort(1)
        before = sizes[order].cumsum(1) - sizes[order]
        starts = torch.zeros_like(before).scatter_(1, order, before)
        spans = starts[:, :k, None] + torch.arange(copies)
        return torch.cat([spans.flatten(1), starts[:, k:]], dim=1) + N_PREFIX


def _pick(pool: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return pool[torch.randint(len(pool), shape, generator=generator)]
