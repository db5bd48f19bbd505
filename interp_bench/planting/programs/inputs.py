"""Inputs of a compiled program, with what the interpreter says about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from interp_bench.planting.circuits.base import Pairs
from interp_bench.planting.programs.generator import draw_attributes
from interp_bench.planting.programs.instructions import Program
from interp_bench.planting.programs.interpreter import Arc, result, run

_SPARE = 8
_TRIES = 40


@dataclass(frozen=True, kw_only=True)
class Inputs(ABC):
    """What a program runs on, in tokens or in patches.

    Attributes:
        program: the program.
        outputs: (size of the output,) logits that the output is read from.
        causal: whether a position sees only those up to itself.
    """

    program: Program
    outputs: Tensor
    causal: bool

    @property
    @abstractmethod
    def n_prefix(self) -> int:
        """Positions in front of the program's own."""

    @abstractmethod
    def show(self, attributes: Tensor, generator: Generator) -> Tensor:
        """Return inputs that show attributes (n, position, n_attributes)."""

    @abstractmethod
    def read(self, inputs: Tensor) -> Tensor:
        """Return the attributes (n, position, n_attributes) that inputs show, -1 at the prefix."""

    @property
    def attributes(self) -> Tensor:
        """(n_tokens, n_attributes) the attributes of each token of the alphabet, blank ones last."""
        values = [torch.arange(self.program.size)] * self.program.n_attributes
        combined = torch.stack(torch.meshgrid(*values, indexing="ij"), dim=-1).flatten(0, -2)
        return torch.cat([combined, combined.new_full((self.program.n_blank, self.program.n_attributes), -1)])

    def codes(self, index: int) -> Tensor:
        """Return (n_tokens, size) one-hot rows of an attribute of each token, zero where it has none."""
        size = self.program.size
        rows = torch.cat([torch.eye(size, dtype=torch.float64), torch.zeros(1, size, dtype=torch.float64)])
        return rows[self.attributes[:, index]]

    def values(self, attributes: Tensor) -> list[Tensor]:
        """Run the program on attributes (batch, position, n_attributes)."""
        return run(self.program, attributes, n_prefix=self.n_prefix, causal=self.causal)

    def sample(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw inputs that have an output.

        Returns:
            Inputs (count, ...), and the output (count,) as an index into ``outputs``.
        """
        attributes = draw_attributes(self.program, _SPARE * count, self.n_prefix, generator)
        output = result(self.program, self.values(attributes))
        kept = torch.nonzero(output >= 0).flatten()[:count]
        return self.show(attributes[kept], generator), output[kept]

    def pairs(self, count: int, generator: Generator) -> Pairs:
        """Draw pairs of unrelated inputs with different outputs."""
        clean, mine = self.sample(_SPARE * count, generator)
        corrupted, others = self.sample(_SPARE * count, generator)
        differ = torch.nonzero(mine != others).flatten()[:count]
        outcomes = self.outputs[torch.stack([mine, others], dim=1)]
        return Pairs(clean=clean, corrupted=corrupted, outcomes=outcomes).at(differ)

    def near(self, count: int, generator: Generator) -> Pairs:
        """Draw pairs that differ in one attribute of one token, and in their output."""
        attributes = draw_attributes(self.program, _TRIES * count, self.n_prefix, generator)
        changed = attributes.clone()
        row = torch.arange(len(attributes))
        bearing = (attributes[..., 0] >= 0).double()
        place = torch.multinomial(bearing, 1, generator=generator)[:, 0]
        which = torch.randint(self.program.n_attributes, (len(row),), generator=generator)
        shift = torch.randint(1, self.program.size, (len(row),), generator=generator)
        changed[row, place, which] = (changed[row, place, which] + shift) % self.program.size
        before, after = (result(self.program, self.values(a)) for a in (attributes, changed))
        kept = torch.nonzero((before >= 0) & (after >= 0) & (before != after)).flatten()[:count]
        outcomes = self.outputs[torch.stack([before, after], dim=1)[kept]]
        noise = generator.get_state()
        clean = self.show(attributes[kept], generator)
        generator.set_state(noise)
        return Pairs(clean=clean, corrupted=self.show(changed[kept], generator), outcomes=outcomes)

    def patched(self, pairs: Pairs, arcs: Collection[Arc]) -> Tensor:
        """Return the logit index (n,) that wins when arcs carry the corrupted run's values.

        No arcs stand for the edge from the output to the logits.
        """
        if not arcs:
            return pairs.outcomes[:, 1]
        other = self.values(self.read(pairs.corrupted))
        clean = self.read(pairs.clean)
        values = run(self.program, clean, n_prefix=self.n_prefix, causal=self.causal, cut=arcs, other=other)
        output = result(self.program, values)
        return torch.where(output < 0, -1, self.outputs.to(output)[output.clamp(min=0)])

    def index(self, attributes: Tensor, generator: Generator) -> Tensor:
        """Return which token of the alphabet each position of the program shows (n, length)."""
        weights = self.program.size ** torch.arange(self.program.n_attributes - 1, -1, -1)
        body = attributes[:, self.n_prefix :]
        found = (body * weights).sum(-1)
        if not self.program.n_blank:
            return found
        first = self.program.size**self.program.n_attributes
        blank = first + torch.randint(self.program.n_blank, found.shape, generator=generator)
        return torch.where(body[..., 0] < 0, blank, found)

    def blank(self, body: Tensor) -> Tensor:
        """Put the prefix, without attributes, in front of attributes (n, length, n_attributes)."""
        front = body.new_full((len(body), self.n_prefix, body.shape[-1]), -1)
        return torch.cat([front, body], dim=1)


@dataclass(frozen=True, kw_only=True)
class TokenInputs(Inputs):
    """Tokens of a language model.

    Attributes:
        prefix: (n_prefix,) tokens in front.
        alphabet: (size ** n_attributes + n_blank,) tokens, one for each combination of attributes,
            then those without.
    """

    prefix: Tensor
    alphabet: Tensor

    @property
    def n_prefix(self) -> int:
        """Number of tokens in front."""
        return len(self.prefix)

    def show(self, attributes: Tensor, generator: Generator) -> Tensor:
        """Return tokens (n, position)."""
        body = self.alphabet[self.index(attributes, generator)]
        return torch.cat([self.prefix.expand(len(body), -1), body], dim=1)

    def read(self, inputs: Tensor) -> Tensor:
        """Return the attributes of tokens."""
        body = inputs[:, self.n_prefix :].cpu()
        return self.blank(self.attributes[(body[..., None] == self.alphabet).int().argmax(-1)])
