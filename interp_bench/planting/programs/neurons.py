"""Instructions on one position, as pairs of neurons that saturate: noise on their inputs goes no further."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from interp_bench.planting.neurons import Neuron, Reads, step
from interp_bench.planting.programs.instructions import Instruction

_ONE = torch.ones(1, dtype=torch.float64)


def neurons_of(
    instruction: Instruction, slots: Sequence[str], arguments: Sequence[Instruction], out: str, *, ramp: float
) -> list[Neuron]:
    """Return the neurons that carry out an instruction.

    Args:
        instruction: map, sequence_map, bin or threshold.
        slots: slots of its arguments.
        arguments: the instructions that these are the values of.
        out: slot of its value.
        ramp: width of the slope between off and on, in units of the sum of codes; at most 1.
    """
    match instruction.operation:
        case "map":
            found = []
            for value, image in enumerate(instruction.table):
                reads = _holds(slots[0], arguments[0], value)
                found += step(reads, 0.5, ramp, out, _unit(image, instruction.size))
            return found
        case "sequence_map":
            return _sequence_map(instruction, slots, arguments, out, ramp)
        case "threshold":
            # The slope fills half of the gap between the nearest fractions.
            return step(((slots[0], _ONE),), instruction.bound, instruction.gap / 2, out, _ONE)
        case _:
            return _bin(instruction, slots[0], out)


def _unit(index: int, size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64)[index]


def _holds(slot: str, source: Instruction, value: int) -> Reads:
    """Return reads whose sum is 1 where the source has this value."""
    if source.type == "category":
        return ((slot, _unit(value, source.size)),)
    return ((slot, _ONE),) if value else (("present", _ONE), (slot, -_ONE))


def _sequence_map(
    instruction: Instruction, slots: Sequence[str], arguments: Sequence[Instruction], out: str, ramp: float
) -> list[Neuron]:
    found = []
    for x in range(arguments[0].size):
        for y in range(instruction.columns):
            reads = _holds(slots[0], arguments[0], x) + _holds(slots[1], arguments[1], y)
            image = instruction.table[x * instruction.columns + y]
            if instruction.type == "category":
                found += step(reads, 1.5, ramp, out, _unit(image, instruction.size))
            elif image:
                found += step(reads, 1.5, ramp, out, _ONE)
    return found


def _bin(instruction: Instruction, slot: str, out: str) -> list[Neuron]:
    """Write bin 0 everywhere, and trade it for the next where 1 / (1 + count) falls below a bound."""
    found = [
        Neuron(
            reads=(("present", _ONE),), threshold=0.0, slot=out, code=_unit(0, instruction.size), slope=1.0
        )
    ]
    for count in range(1, instruction.size):
        low, high = 1 / (1 + count), 1 / count
        code = _unit(count, instruction.size) - _unit(count - 1, instruction.size)
        # Fewer matches give more: the step is of 1 - x.
        reads = (("one", _ONE), (slot, -_ONE))
        found += step(reads, 1 - (low + high) / 2, (high - low) / 2, out, code)
    return found
