"""Are brackets closed? A head weighs opening against closing ones, neurons compare (Yao et al. 2021)."""

from __future__ import annotations

from interp_bench.planting.programs.instructions import Instruction, Program

OPEN, CLOSE = 0, 1


def bracket_depth(*, length: int) -> Program:
    """Return the program: below, at or above depth 0 at the last bracket.

    Uniform attention gives the share of opening brackets; it is above one half where the depth is
    positive. Two thresholds around one half are combined into three outcomes: 0 for more closing
    brackets, 1 for as many of both, 2 for more opening ones.

    Args:
        length: brackets of an input, an even number.
    """
    if length % 2:
        raise ValueError(f"length is {length}; brackets can only balance in an even number")
    bracket = Instruction(operation="attribute", type="category", size=2)
    share = Instruction(operation="fraction", arguments=(0,), type="number", size=0, category=OPEN)
    some, more = (
        Instruction(
            operation="threshold",
            arguments=(1,),
            type="boolean",
            size=2,
            bound=0.5 + side * 0.5 / length,
            gap=1 / length,
        )
        for side in (-1, 1)
    )
    depth = Instruction(
        operation="sequence_map", arguments=(2, 3), type="category", size=3, table=(0, 0, 1, 2), columns=2
    )
    return Program(instructions=(bracket, share, some, more, depth), n_attributes=1, size=2, length=length)
