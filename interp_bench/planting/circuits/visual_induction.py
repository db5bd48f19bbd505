"""Induction over patches: what follows the pattern of the last patch where it stands before?

The circuit of Olsson et al. 2022 in a network that sees all patches at once: one head moves each pattern
one patch on, a second looks for the patch behind the one that shows the last pattern.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from interp_bench.planting.programs.instructions import Instruction, Program


def visual_induction(*, n_patterns: int) -> Program:
    """Return the program: every pattern once, in any order, then one of them again.

    Args:
        n_patterns: size of the alphabet.
    """
    pattern = Instruction(operation="attribute", type="category", size=n_patterns)
    before = Instruction(operation="shift", arguments=(0,), type="category", size=n_patterns, steps=1)
    answer = Instruction(operation="lookup", arguments=(0, 1, 0), type="category", size=n_patterns)

    def draw(count: int, generator: Generator) -> Tensor:
        order = torch.rand(count, n_patterns, generator=generator).argsort(1)
        again = order.gather(1, torch.randint(n_patterns - 1, (count, 1), generator=generator))
        return torch.cat([order, again], dim=1)[..., None]

    return Program(
        instructions=(pattern, before, answer),
        n_attributes=1,
        size=n_patterns,
        length=n_patterns + 1,
        draw=draw,
    )
