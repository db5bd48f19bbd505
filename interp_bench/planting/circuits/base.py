"""What a planted circuit is, whatever it computes and in whatever network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.graph import Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of inputs that differ in their outcome.

    Attributes:
        clean: (n, ...) inputs, tokens or pixels.
        corrupted: (n, ...) inputs of the same shape.
        outcomes: (n, 2) logit indices: the outcome of the clean and of the corrupted input.
    """

    clean: Tensor
    corrupted: Tensor
    outcomes: Tensor

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.clean)

    def at(self, index: Tensor | slice) -> Pairs:
        """Return some of the pairs."""
        return Pairs(clean=self.clean[index], corrupted=self.corrupted[index], outcomes=self.outcomes[index])

    def to(self, device: torch.device) -> Pairs:
        """Return the same pairs on a device."""
        return Pairs(
            clean=self.clean.to(device),
            corrupted=self.corrupted.to(device),
            outcomes=self.outcomes.to(device),
        )


Sampler = Callable[[int, torch.Generator], Pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedCircuit:
    """A planted circuit, and the inputs that show what it computes.

    The outcomes that the samplers give come from the definition of the behaviour, never from the
    network.

    Attributes:
        edges: the planted edges, as (source, destination) names of the network's graph.
        candidates: (k,) logit indices; the outcome of an input is the largest of these, at the last
            position of an LM.
        pairs: draws pairs of unrelated inputs with different outcomes.
        near: draws pairs that differ as little as the behaviour allows (one token, one patch) and
            have different outcomes: the near negatives of the certificate.
        predict: what wins when one edge carries the value of the corrupted input, as (n,) logit
            indices with -1 where nothing does; None where that is the corrupted outcome for every edge
            or not known.
    """

    edges: tuple[Edge, ...]
    candidates: Tensor
    pairs: Sampler
    near: Sampler
    predict: Callable[[Pairs, Edge], Tensor] | None = None

    def decided(self, logits: Tensor) -> Tensor:
        """Return (n,), the logit index that won among the candidates.

        Args:
            logits: (n, position, d_vocab) of an LM, or (n, class).
        """
        final = logits[:, -1] if logits.ndim == 3 else logits
        candidates = self.candidates.to(final.device)
        return candidates[final[:, candidates].argmax(-1)]
