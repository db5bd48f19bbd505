"""The reference interpreter: what a program computes, and what it would with single arcs replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from interp_bench.planting.programs.instructions import Instruction, Program

Arc = tuple[int, int]


def run(
    program: Program,
    attributes: Tensor,
    *,
    n_prefix: int,
    causal: bool = True,
    cut: Collection[Arc] = (),
    other: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Return the value (batch, position) of every instruction.

    Args:
        program: the program.
        attributes: (batch, position, n_attributes) integers, -1 at the first ``n_prefix`` positions.
        n_prefix: positions in front of the program's own.
        causal: whether a position sees only those up to itself.
        cut: arcs (instruction, number of argument) that carry the value of another run.
        other: the values of that run.
    """
    values: list[Tensor] = []
    for index, instruction in enumerate(program.instructions):
        arguments = [
            other[source] if (index, number) in cut else values[source]
            for number, source in enumerate(instruction.arguments)
        ]
        values.append(_step(instruction, arguments, attributes, n_prefix, causal))
    return values


def result(program: Program, values: Sequence[Tensor]) -> Tensor:
    """Return (batch,), the output at the last position."""
    return values[-1][:, -1]


def _step(i: Instruction, arguments: list[Tensor], attributes: Tensor, n_prefix: int, causal: bool) -> Tensor:
    match i.operation:
        case "attribute":
            return attributes[..., i.index]
        case "shift":
            return _shift(i, arguments[0], n_prefix)
        case "exists" | "lookup" | "count":
            return _matched(i, arguments, n_prefix, causal)
        case "differing":
            query, key, x = arguments
            other = (query[:, :, None] != key[:, None, :]) & (key[:, None, :] >= 0)
            return _fetched(i, x, other & _seen(x.shape[1], n_prefix, causal))
        case "latest":
            key, x = arguments
            seen = _seen(x.shape[1], n_prefix, causal)
            return _fetched(i, x, (key[:, None, :] == i.category) & seen)
        case "fraction":
            return _fraction(arguments[0] == i.category, n_prefix, causal)
        case "threshold":
            return (arguments[0] > i.bound).long()
        case "bin":
            found = (1 / arguments[0] - 1).round().long().clamp(max=i.size - 1)
            return _blank(found, n_prefix)
        case "map":
            x = arguments[0]
            return torch.where(x < 0, x, torch.tensor(i.table)[x.clamp(min=0)])
        case _:
            return _sequence_map(i, arguments[0], arguments[1], n_prefix)


def _blank(values: Tensor, n_prefix: int) -> Tensor:
    values = values.clone()
    values[:, :n_prefix] = -1
    return values


def _nothing(i: Instruction) -> int:
    return -1 if i.type == "category" else 0


def _shift(i: Instruction, x: Tensor, n_prefix: int) -> Tensor:
    out = torch.full_like(x, _nothing(i))
    out[:, i.steps :] = x[:, : -i.steps]
    out[:, :n_prefix] = _nothing(i)
    return out


def _matched(i: Instruction, arguments: list[Tensor], n_prefix: int, causal: bool) -> Tensor:
    query, key = arguments[:2]
    seen = _seen(query.shape[1], n_prefix, causal)
    match = (query[:, :, None] == key[:, None, :]) & (query[:, :, None] >= 0) & seen
    if i.operation == "exists":
        return match.any(-1).long()
    if i.operation == "count":
        return 1 / (1 + match.sum(-1).double())
    return _fetched(i, arguments[2], match)


def _seen(length: int, n_prefix: int, causal: bool) -> Tensor:
    """Return (position, position) bool, which positions of the program each one sees."""
    position = torch.arange(length)
    seen = (position[:, None] >= position) if causal else torch.ones(length, length, dtype=torch.bool)
    return seen & (position >= n_prefix)


def _fetched(i: Instruction, x: Tensor, match: Tensor) -> Tensor:
    """Return ``x`` at the latest of the matching positions (batch, position, position)."""
    latest = (match * (torch.arange(x.shape[1]) + 1)).amax(-1) - 1
    found = x.gather(1, latest.clamp(min=0))
    return torch.where(latest < 0, torch.full_like(found, _nothing(i)), found)


def _fraction(hit: Tensor, n_prefix: int, causal: bool) -> Tensor:
    length = hit.shape[1]
    own = (torch.arange(length) - n_prefix + 1).clamp(min=0)
    if causal:
        return hit.double().cumsum(1) / own.clamp(min=1)
    return hit.double().sum(1, keepdim=True).expand(-1, length) / own[-1]


def _sequence_map(i: Instruction, x: Tensor, y: Tensor, n_prefix: int) -> Tensor:
    found = torch.tensor(i.table)[x.clamp(min=0) * i.columns + y.clamp(min=0)]
    found = torch.where((x < 0) | (y < 0), torch.full_like(found, _nothing(i)), found)
    found[:, :n_prefix] = _nothing(i)
    return found
