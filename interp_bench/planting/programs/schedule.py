"""Which half-layer carries out which instruction: a random choice among those that respect the data flow."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Generator

from interp_bench.errors import PlantingError
from interp_bench.planting.programs.instructions import ATTENDING, Program

_HASTE = 0.75  # each further half-layer of waiting is this much less likely
_TRIALS = 200


def schedule(
    program: Program,
    n_layers: int,
    generator: Generator,
    *,
    parallel: bool,
    n_heads: int,
    last: int | None = None,
) -> dict[int, int]:
    """Return the half-layer of each instruction: ``2 l`` for the heads of layer l, ``2 l + 1`` for its MLP.

    An MLP carries out one instruction at most, the heads of a layer ``n_heads``.

    Args:
        program: the program.
        n_layers: layers of the host.
        generator: source of randomness.
        parallel: whether heads and MLP of a layer read the same stream.
        n_heads: heads of a layer with keys and values of their own.
        last: half-layer that the output must come before; the end when None.

    Raises:
        PlantingError: the host has too few layers.
    """
    end = 2 * n_layers if last is None else last
    latest = _latest(program, end, parallel)
    for _ in range(_TRIALS):
        times = _drawn(program, latest, generator, parallel, n_heads)
        if times is not None:
            return times
    raise PlantingError(
        f"the program is too deep for {n_layers} layers; take a deeper host or fewer operations"
    )


def _parity(program: Program, index: int) -> int:
    return 0 if program.instructions[index].operation in ATTENDING else 1


def _latest(program: Program, end: int, parallel: bool) -> dict[int, int]:
    """Return the last half-layer at which each instruction can still be of use."""
    latest: dict[int, int] = {}
    nodes = program.instructions
    for index in reversed(range(len(nodes))):
        if nodes[index].operation == "attribute":
            continue
        users = [latest[i] for i in latest if index in nodes[i].arguments]
        before = [2 * (time // 2) - 1 if parallel else time - 1 for time in users]
        bound = min([*before, end - 1])
        latest[index] = bound - (bound % 2 != _parity(program, index))
    return latest


def _drawn(
    program: Program, latest: dict[int, int], generator: Generator, parallel: bool, n_heads: int
) -> dict[int, int] | None:
    times: dict[int, int] = {}
    room = Counter[int]()
    for index, node in enumerate(program.instructions):
        if node.operation == "attribute":
            continue
        done = [times[a] for a in node.arguments if a in times]
        first = max([2 * (time // 2) + 2 if parallel else time + 1 for time in done], default=0)
        odd = _parity(program, index)
        most = 1 if odd else n_heads
        free = [t for t in range(first, latest[index] + 1) if t % 2 == odd and room[t] < most]
        if not free:
            return None
        weights = torch.tensor([_HASTE**k for k in range(len(free))])
        times[index] = free[int(torch.multinomial(weights, 1, generator=generator))]
        room[times[index]] += 1
    return times
