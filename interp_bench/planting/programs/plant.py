"""Plant a program in a language model or a vision transformer."""

from __future__ import annotations

import torch

from interp_bench.model.handle import Model
from interp_bench.planting.circuits.base import PlantedCircuit
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.instructions import Program
from interp_bench.planting.programs.patches import PatchCompiler
from interp_bench.planting.programs.tokens import TokenCompiler


def plant_program(
    model: Model, program: Program, *, seed: int, dials: ProgramDials | None = None
) -> PlantedCircuit:
    """Plant a program.

    Args:
        model: a decoder LM or a ViT; edited in place.
        program: what it is to compute; drawn for a causal network or not, as the model is.
        seed: another seed gives other directions, layers, heads, neurons and tokens or patterns.
        dials: difficulty.

    Raises:
        PlantingError: the host is too narrow, too shallow, or has too few heads or tokens.
    """
    generator, dials = torch.Generator().manual_seed(seed), dials or ProgramDials()
    if model.transformer.n_prefix:
        return PatchCompiler(model, program, generator, dials).compile()
    model.last_only = True
    return TokenCompiler(model, program, generator, dials).compile()
