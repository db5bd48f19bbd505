"""Random programs: drawn by a seed, kept only if every part of them matters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.programs.instructions import (
    ATTENDING,
    LETTERS,
    Instruction,
    Operation,
    Program,
    Type,
)
from interp_bench.planting.programs.interpreter import result, run

_SHARES: dict[Operation, float] = {
    "shift": 0.18,
    "exists": 0.16,
    "lookup": 0.2,
    "count": 0.1,
    "fraction": 0.1,
    "map": 0.06,
    "sequence_map": 0.2,
}
_MOST_STEPS = 3
_TRIALS = 1000
_INPUTS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a program must be like to be planted.

    Attributes:
        arc: share of pairs with different outputs whose output changes with any one arc, at least.
        commonest: share of the commonest output, at most.
        valid: share of inputs with an output at all, at least.
        last_token: accuracy of the best guess from the last token alone, at most.
        edges: number of arcs, at least and at most.
    """

    arc: float = 0.2
    commonest: float = 0.75
    valid: float = 0.8
    last_token: float = 0.9
    edges: tuple[int, int] = (3, 14)


def draw_program(
    generator: Generator,
    *,
    n_operations: int = 4,
    size: int = 3,
    n_attributes: int = 2,
    length: int = 12,
    n_prefix: int = 4,
    causal: bool = True,
    demands: Demands | None = None,
) -> Program:
    """Draw programs until one meets the demands.

    Args:
        generator: source of randomness.
        n_operations: instructions to draw; those that the output does not depend on are dropped.
        size: categories of an attribute.
        n_attributes: attributes of a token.
        length: positions of an input, prefix left out.
        n_prefix: positions in front of it.
        causal: whether a position sees only those up to itself.
        demands: what it must be like.

    Raises:
        PlantingError: no draw met the demands.
    """
    for _ in range(_TRIALS):
        draft = _Draft(generator, size, n_attributes, length)
        program = draft.program(n_operations)
        if program is not None and accepted(program, generator, n_prefix, demands, causal=causal):
            return program
    raise PlantingError(
        f"none of {_TRIALS} random programs of {n_operations} operations met the demands; ask for others"
    )


def draw_attributes(program: Program, count: int, n_prefix: int, generator: Generator) -> Tensor:
    """Return (count, n_prefix + length, n_attributes) attributes of random inputs, -1 at the prefix."""
    if program.draw is not None:
        drawn = program.draw(count, generator)
    else:
        shape = (count, program.length, program.n_attributes)
        drawn = torch.randint(program.size, shape, generator=generator)
    blank = torch.full((count, n_prefix, program.n_attributes), -1)
    return torch.cat([blank, drawn], dim=1)


def accepted(
    program: Program,
    generator: Generator,
    n_prefix: int,
    demands: Demands | None = None,
    *,
    causal: bool = True,
) -> bool:
    """Return whether a program meets the demands, on random inputs."""
    demands = demands or Demands()
    arcs = program.arcs()
    if not demands.edges[0] <= len(arcs) <= demands.edges[1] or not _steady(program):
        return False
    attributes = draw_attributes(program, _INPUTS, n_prefix, generator)
    values = run(program, attributes, n_prefix=n_prefix, causal=causal)
    output = result(program, values)
    if not _balanced(program, output, attributes[:, -1], demands):
        return False
    swapped = [value.roll(1, 0) for value in values]
    differ = (output != output.roll(1, 0)) & (output >= 0) & (output.roll(1, 0) >= 0)
    for arc in arcs:
        patched = result(
            program, run(program, attributes, n_prefix=n_prefix, causal=causal, cut=[arc], other=swapped)
        )
        if float((patched != output)[differ].double().mean()) < demands.arc:
            return False
    return True


def _steady(program: Program) -> bool:
    """Return whether thresholds are used at the last position only.

    At others fractions lie closer together, and noise of the host would decide between them.
    """
    moving: set[int] = set()
    for index, node in enumerate(program.instructions):
        if node.operation == "threshold":
            moving.add(index)
        elif node.operation in ATTENDING:
            letters = LETTERS[node.operation]
            if any(a in moving and letter != "q" for a, letter in zip(node.arguments, letters, strict=True)):
                return False
        elif moving.intersection(node.arguments):
            moving.add(index)
    return True


def _balanced(program: Program, output: Tensor, last: Tensor, demands: Demands) -> bool:
    valid = output >= 0
    if float(valid.double().mean()) < demands.valid:
        return False
    counts = torch.bincount(output[valid])
    if float(counts.max() / counts.sum()) > demands.commonest:
        return False
    weights = program.size ** torch.arange(program.n_attributes)
    token = (last * weights).sum(1)[valid]
    table = torch.zeros(int(token.max()) + 1, len(counts)).index_put_(
        (token, output[valid]), torch.ones(len(token)), accumulate=True
    )
    return float(table.amax(1).sum() / table.sum()) <= demands.last_token


class _Draft:
    """Instructions drawn one after another."""

    def __init__(self, generator: Generator, size: int, n_attributes: int, length: int) -> None:
        self.generator, self.size, self.n_attributes, self.length = generator, size, n_attributes, length
        self.nodes = [
            Instruction(operation="attribute", type="category", size=size, index=index)
            for index in range(n_attributes)
        ]

    def program(self, n_operations: int) -> Program | None:
        """Return the program, without what its output does not depend on."""
        operations, shares = list(_SHARES), torch.tensor(list(_SHARES.values()))
        while len(self.nodes) - self.n_attributes < n_operations:
            drawn = operations[int(torch.multinomial(shares, 1, generator=self.generator))]
            getattr(self, f"_add_{drawn}")()
        outputs = [i for i, node in enumerate(self.nodes) if node.type != "number" and i >= self.n_attributes]
        return None if not outputs else self._pruned(outputs[-1])

    def _pruned(self, output: int) -> Program:
        kept, todo = set(), [output]
        while todo:
            index = todo.pop()
            if index not in kept:
                kept.add(index)
                todo += self.nodes[index].arguments
        order = sorted(kept)
        new = {old: i for i, old in enumerate(order)}
        nodes = [
            replace(self.nodes[old], arguments=tuple(new[a] for a in self.nodes[old].arguments))
            for old in order
        ]
        return Program(
            instructions=tuple(nodes), n_attributes=self.n_attributes, size=self.size, length=self.length
        )

    # ---------------------------------------------------------------- drawing
    def _integer(self, low: int, high: int) -> int:
        """Draw an integer from low up to, and without, high."""
        return int(torch.randint(low, high, (), generator=self.generator))

    def _pick(self, *types: Type, full: bool = False) -> int:
        """Draw a value of one of the types, computed ones thrice as often as attributes."""
        fitting = [
            i
            for i, node in enumerate(self.nodes)
            if node.type in types and (not full or node.type != "category" or node.size == self.size)
        ]
        weights = torch.tensor([3.0 if i >= self.n_attributes else 1.0 for i in fitting])
        return fitting[int(torch.multinomial(weights, 1, generator=self.generator))]

    def _table(self, length: int) -> tuple[int, ...]:
        drawn: list[int] = torch.randint(self.size, (length,), generator=self.generator).tolist()
        return tuple(drawn)

    def _add(self, operation: Operation, arguments: tuple[int, ...], kind: Type, size: int) -> None:
        node = Instruction(operation=operation, arguments=arguments, type=kind, size=size)
        self.nodes.append(node)

    def _add_shift(self) -> None:
        x = self._pick("category", "boolean")
        self._add("shift", (x,), self.nodes[x].type, self.nodes[x].size)
        self.nodes[-1] = replace(self.nodes[-1], steps=self._integer(1, _MOST_STEPS + 1))

    def _add_exists(self) -> None:
        query, key = self._pick("category", full=True), self._pick("category", full=True)
        if query != key:
            self._add("exists", (query, key), "boolean", 2)

    def _add_lookup(self) -> None:
        query, key = self._pick("category", full=True), self._pick("category", full=True)
        x = self._pick("category", "boolean")
        if query != key:
            self._add("lookup", (query, key, x), self.nodes[x].type, self.nodes[x].size)

    def _add_count(self) -> None:
        query, key = self._pick("category", full=True), self._pick("category", full=True)
        self._add("count", (query, key), "number", 0)
        self._add("bin", (len(self.nodes) - 1,), "category", self.size)

    def _add_fraction(self) -> None:
        x = self._pick("category", full=True)
        self._add("fraction", (x,), "number", 0)
        self.nodes[-1] = replace(self.nodes[-1], category=self._integer(0, self.size))
        self._add("threshold", (len(self.nodes) - 1,), "boolean", 2)
        bound, gap = self._bound()
        self.nodes[-1] = replace(self.nodes[-1], bound=bound, gap=gap)

    def _bound(self) -> tuple[float, float]:
        """Return a bound near the mean, between fractions at the last position, and their distance."""
        mean = round(self.length / self.size)
        hits = self._integer(max(0, mean - 1), mean + 1)
        return (hits + 0.5) / self.length, 1 / self.length

    def _add_map(self) -> None:
        x = self._pick("category")
        table = self._table(self.nodes[x].size)
        if len(set(table)) > 1:
            self._add("map", (x,), "category", self.size)
            self.nodes[-1] = replace(self.nodes[-1], table=table)

    def _add_sequence_map(self) -> None:
        x, y = self._pick("category", "boolean"), self._pick("category", "boolean")
        if x != y:
            rows, columns = self.nodes[x].size, self.nodes[y].size
            self._add("sequence_map", (x, y), "category", self.size)
            self.nodes[-1] = replace(self.nodes[-1], table=self._table(rows * columns), columns=columns)
