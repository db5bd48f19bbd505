"""The instructions that programs are made of, in the manner of RASP (Weiss et al. 2021).

Every value has one entry a position. A *category* is one of ``size`` classes, or -1 where there is
none; a *boolean* is 0 or 1; a *number* is a fraction in [0, 1]. At the prefix positions in front of
the program's own, categories are -1 and booleans 0.

| operation | arguments | value at position i |
|---|---|---|
| attribute | - | the ``index``-th attribute of the token |
| shift | x | x at ``i - steps`` |
| exists | query, key | whether key equals query(i) at some position up to i |
| lookup | query, key, x | x at the latest position up to i where key equals query(i) |
| differing | query, key, x | x at the latest position up to i where key is a category other than query(i) |
| latest | key, x | x at the latest position up to i where key is ``category`` |
| count | query, key | 1 / (1 + how many positions up to i have key equal to query(i)) |
| fraction | x | share of positions up to i, prefix left out, where x is ``category`` |
| bin | count | how many, at most ``size - 1`` |
| threshold | fraction | whether it is above ``bound`` |
| map | x | ``table[x]`` |
| sequence_map | x, y | ``table[x][y]`` |

In a network without a causal mask, "up to i" means anywhere, and "latest" means last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Generator, Tensor

Operation = Literal[
    "attribute",
    "shift",
    "exists",
    "lookup",
    "differing",
    "latest",
    "count",
    "fraction",
    "bin",
    "threshold",
    "map",
    "sequence_map",
]
Type = Literal["category", "boolean", "number"]

ATTENDING: frozenset[Operation] = frozenset(
    {"shift", "exists", "lookup", "differing", "latest", "count", "fraction"}
)
"""Operations that a head carries out; the others, but for attributes, are a layer of neurons."""

LETTERS: dict[Operation, str] = {
    "shift": "v",
    "fraction": "v",
    "exists": "qk",
    "count": "qk",
    "lookup": "qkv",
    "differing": "qkv",
    "latest": "kv",
}
"""Which input of the head each argument goes to."""

Draw = Callable[[int, Generator], Tensor]
"""Draws attributes (count, length, n_attributes) of inputs, -1 where a token has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction.

    Attributes:
        operation: what it does.
        arguments: indices of the instructions whose values it takes.
        type: type of its value.
        size: number of categories; 2 for a boolean, 0 for a number.
        index: of the attribute.
        steps: of a shift.
        category: of a fraction or of latest.
        bound: of a threshold.
        gap: distance of a threshold's bound to the nearest fractions on both sides together.
        table: of a map (length size of x) or a sequence map (row by row of x).
        columns: of a sequence map's table, the size of y.
    """

    operation: Operation
    arguments: tuple[int, ...] = ()
    type: Type
    size: int
    index: int = 0
    steps: int = 0
    category: int = 0
    bound: float = 0.0
    gap: float = 0.0
    table: tuple[int, ...] = ()
    columns: int = 0

    @property
    def width(self) -> int:
        """Dimensions of the code of its value: one for each category, one for all else."""
        return self.size if self.type == "category" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program: instructions in order, the last of which is its output.

    Attributes:
        instructions: attributes first.
        n_attributes: attributes of a token.
        size: categories of an attribute.
        length: positions of an input, prefix left out.
        n_blank: tokens without attributes, which stand where a drawn input has none.
        draw: draws the inputs; all attributes at random when None.
    """

    instructions: tuple[Instruction, ...]
    n_attributes: int
    size: int
    length: int
    n_blank: int = 0
    draw: Draw | None = None

    @property
    def n_operations(self) -> int:
        """Number of instructions, attributes left out."""
        return sum(i.operation != "attribute" for i in self.instructions)

    @property
    def structure(self) -> str:
        """What feeds what, without tables and steps, e.g. ``exists(shift(attribute),attribute)``."""
        return self._written(len(self.instructions) - 1)

    def _written(self, index: int) -> str:
        instruction = self.instructions[index]
        inner = ",".join(self._written(i) for i in instruction.arguments)
        return f"{instruction.operation}({inner})" if inner else instruction.operation

    def arcs(self) -> list[tuple[int, int]]:
        """Return (instruction, number of its argument) for every argument."""
        return [(i, a) for i, node in enumerate(self.instructions) for a in range(len(node.arguments))]
