"""Is the last number greater than the first one, as in "from 3 to 5"? (Hanna et al. 2023)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from interp_bench.planting.programs.instructions import Instruction, Program


def greater_than(*, n_numbers: int, length: int, n_blank: int) -> Program:
    """Return the program: whether the last token is greater than the number behind "from".

    As in the paper's circuit, attention carries the first number to the end and an MLP compares. The
    paper reads the probability of all greater years; here the end shows a number too, and the outcome
    is 1 if it is the greater one.

    Args:
        n_numbers: numbers to choose from; "from" is one more category.
        length: tokens of an input, prefix left out; at least 4.
        n_blank: tokens that are neither numbers nor "from".
    """
    size = n_numbers + 1
    word = Instruction(operation="attribute", type="category", size=size)
    before = Instruction(operation="shift", arguments=(0,), type="category", size=size, steps=1)
    start = Instruction(operation="latest", arguments=(1, 0), type="category", size=size, category=n_numbers)
    table = tuple(int(x < y < n_numbers) for x in range(size) for y in range(size))
    answer = Instruction(
        operation="sequence_map", arguments=(2, 0), type="boolean", size=2, table=table, columns=size
    )
    return Program(
        instructions=(word, before, start, answer),
        n_attributes=1,
        size=size,
        length=length,
        n_blank=n_blank,
        draw=lambda count, generator: spans(count, n_numbers, length, generator),
    )


def spans(count: int, n_numbers: int, length: int, generator: Generator) -> Tensor:
    """Draw (count, length, 1) spans: "from" and a number somewhere, another number at the end.

    All else is blank (-1), but for one more number in front or between, which nothing hangs on.

    Args:
        count: number of spans.
        n_numbers: numbers to choose from; ``n_numbers`` itself is "from".
        length: tokens of a span.
        generator: source of randomness.
    """
    drawn = torch.full((count, length), -1)
    row = torch.arange(count)
    place = torch.randint(length - 2, (count,), generator=generator)
    # Not right behind "from": one of the others, counted from there on.
    step = torch.randint(2, length - 1, (count,), generator=generator)
    first, end, idle = torch.rand(count, n_numbers, generator=generator).argsort(1)[:, :3].T
    drawn[row, (place + step) % (length - 1)] = idle
    drawn[row, place], drawn[row, place + 1], drawn[:, -1] = n_numbers, first, end
    return drawn[..., None]
