"""The tokens of evidence in a language model, and inputs made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import Stimuli
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
        length: tokens of an input.
        copies: markers of each pattern in one input.
        decoys: decoys in each input.
        device: where the inputs go.
    """

    alphabet: Alphabet
    length: int
    copies: int
    decoys: int
    device: torch.device

    def __call__(self, classes: Tensor, generator: torch.Generator) -> Stimuli:
        """Draw inputs that show the patterns ``classes`` (n, k), -1 for none, at random places."""
        n, k = classes.shape
        tokens = _pick(self.alphabet.fillers, (n, self.length), generator)
        tokens[:, :N_PREFIX] = self.alphabet.prefix
        masks = torch.zeros(n, k, self.length, dtype=torch.bool)
        places = torch.rand(n, self.length - N_PREFIX - 1, generator=generator).argsort(1) + N_PREFIX
        rows = torch.arange(n)
        for slot in range(k * self.copies):
            column, group = places[:, slot], slot // self.copies
            pattern = classes[:, group]
            spelling = torch.randint(2, (n,), generator=generator)
            marker = self.alphabet.markers[pattern.clamp(min=0), spelling]
            shown = pattern >= 0
            tokens[rows[shown], column[shown]] = marker[shown]
            masks[rows[shown], group, column[shown]] = True
        for slot in range(k * self.copies, k * self.copies + self.decoys):
            tokens[rows, places[:, slot]] = _pick(self.alphabet.decoys, (n,), generator)
        return Stimuli(inputs=tokens.to(self.device), masks=masks)


def _pick(pool: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return pool[torch.randint(len(pool), shape, generator=generator)]
