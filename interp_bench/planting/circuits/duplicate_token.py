"""Does the last token occur before? A head finds its copies (Wang et al. 2023, duplicate token heads)."""

from __future__ import annotations

from interp_bench.planting.programs.instructions import Instruction, Program


def duplicate_token(*, n_tokens: int, length: int) -> Program:
    """Return the program: count tokens like this one, itself included; more than one is yes.

    Args:
        n_tokens: size of the alphabet.
        length: tokens of an input.
    """
    token = Instruction(operation="attribute", type="category", size=n_tokens)
    copies = Instruction(operation="count", arguments=(0, 0), type="number", size=0)
    number = Instruction(operation="bin", arguments=(1,), type="category", size=3)
    answer = Instruction(operation="map", arguments=(2,), type="category", size=2, table=(0, 0, 1))
    return Program(instructions=(token, copies, number, answer), n_attributes=1, size=n_tokens, length=length)
