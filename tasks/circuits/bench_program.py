"""Find the edges of a random program that was compiled into a language model."""

from __future__ import annotations

import torch

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.generator import draw_program
from interp_bench.planting.programs.plant import plant_program
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit

# Streams of 64 dimensions hold a program of a few instructions; narrower hosts are smaller than this.
LEAST = 100_000
# An arc of a program decides the output of at least a fifth of the pairs, not of all.
BOUNDS = CircuitBounds(behaviour=0.97, necessity=0.95)


@task(
    version=1,
    needs=Needs(modalities=("lm",), kinds=("native", "gpt2", "llama", "qwen2", "neox"), min_params=LEAST),
    quick=Needs(modalities=("lm",), kinds=("native",), max_params=1_000_000),
)
def program(
    model: Model,
    seed: int,
    *,
    n_operations: int = 4,
    size: int = 3,
    length: int = 12,
    rho: float = 0.35,
    attention_gain: float = 24.0,
    ramp: float = 0.6,
    write_leak: float = 0.0,
    read_leak: float = 1.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """Which edges carry a random typed program of shifts, look-ups, counts and tables.

    Args:
        model: the host, edited in place.
        seed: another seed gives another program, other places, directions and tokens.
        n_operations: instructions that are drawn.
        size: categories of each of the two attributes of a token.
        length: tokens of an input, prefix left out.
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits.
        ramp: width of the slope between off and on of the neurons that combine codes.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """
    dials = ProgramDials(
        rho=rho, attention_gain=attention_gain, ramp=ramp, write_leak=write_leak, read_leak=read_leak
    )
    return _planted(model, seed, dials, n_operations=n_operations, size=size, length=length)


@task(
    version=1,
    needs=Needs(modalities=("image",), kinds=("vit",), min_params=LEAST),
    quick=Needs(modalities=("image",), kinds=("vit",), max_params=1_000_000),
)
def visual_program(
    model: Model,
    seed: int,
    *,
    n_operations: int = 3,
    size: int = 3,
    length: int = 12,
    rho: float = 0.35,
    attention_gain: float = 24.0,
    ramp: float = 0.6,
    write_leak: float = 0.0,
    read_leak: float = 1.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """Which edges carry a random typed program over patterns in the patches of an image.

    Args:
        model: the host, edited in place.
        seed: another seed gives another program, other places, directions and patterns.
        n_operations: instructions that are drawn.
        size: categories of each of the two attributes of a pattern.
        length: patches that show a pattern.
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits.
        ramp: width of the slope between off and on of the neurons that combine codes.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """
    dials = ProgramDials(
        rho=rho, attention_gain=attention_gain, ramp=ramp, write_leak=write_leak, read_leak=read_leak
    )
    return _planted(model, seed, dials, n_operations=n_operations, size=size, length=length)


def _planted(
    model: Model, seed: int, dials: ProgramDials, **wanted: int
) -> Planted[CircuitProblem, CircuitTruth]:
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_program(generator, causal=model.transformer.causal, **wanted)
    circuit = plant_program(model, drawn, seed=seed, dials=dials)
    return planted_circuit(model, circuit, seed=seed, certified=48, bounds=BOUNDS)
