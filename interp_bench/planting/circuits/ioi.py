"""Which of two names is not repeated? The indirect object (Wang et al. 2023, IOI in GPT-2 small)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from interp_bench.planting.programs.instructions import Instruction, Program

_AGAIN = 2  # bin of a name that stands at two positions so far


def ioi(*, n_names: int, length: int, n_blank: int) -> Program:
    """Return the program: the latest name that is not the repeated one.

    Its heads are those of the paper's circuit: one finds duplicates of a name where it stands, one at
    the end moves the repeated name (S-inhibition), and one attends to the names but not to that one
    (name mover) and copies what it finds.

    Args:
        n_names: names to choose from.
        length: tokens of an input, prefix left out; at least 4.
        n_blank: tokens that are no names.
    """
    name = Instruction(operation="attribute", type="category", size=n_names)
    copies = Instruction(operation="count", arguments=(0, 0), type="number", size=0)
    standing = Instruction(operation="bin", arguments=(1,), type="category", size=_AGAIN + 1)
    subject = Instruction(
        operation="latest", arguments=(2, 0), type="category", size=n_names, category=_AGAIN
    )
    mover = Instruction(operation="differing", arguments=(3, 0, 0), type="category", size=n_names)
    return Program(
        instructions=(name, copies, standing, subject, mover),
        n_attributes=1,
        size=n_names,
        length=length,
        n_blank=n_blank,
        draw=lambda count, generator: sentences(count, n_names, length, generator),
    )


def sentences(count: int, n_names: int, length: int, generator: Generator) -> Tensor:
    """Draw (count, length, 1) sentences: two names in either order, one of them again, an end.

    All else is blank (-1), the last token always.

    Args:
        count: number of sentences.
        n_names: names to choose from.
        length: tokens of a sentence.
        generator: source of randomness.
    """
    names = torch.rand(count, n_names, generator=generator).argsort(1)[:, :2]
    again = torch.randint(2, (count, 1), generator=generator)
    shown = torch.cat([names, names.gather(1, again)], dim=1)
    places = torch.rand(count, length - 1, generator=generator).argsort(1)[:, :3].sort(1).values
    return torch.full((count, length), -1).scatter(1, places, shown)[..., None]
