"""Find the edges of induction over patches of an image."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds
from interp_bench.planting.circuits.visual_induction import visual_induction as program
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.plant import plant_program
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit

BOUNDS = CircuitBounds(behaviour=0.97, necessity=0.8)


@task(
    version=1,
    needs=Needs(modalities=("image",), kinds=("vit",), min_params=100_000),
    quick=Needs(modalities=("image",), kinds=("vit",), max_params=1_000_000),
)
def visual_induction(
    model: Model,
    seed: int,
    *,
    n_patterns: int = 6,
    rho: float = 0.35,
    attention_gain: float = 24.0,
    write_leak: float = 0.0,
    read_leak: float = 1.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """One head moves each pattern a patch on, another finds the patch behind the last patch's pattern.

    Args:
        model: the host, edited in place.
        seed: another seed gives other places, directions and patterns.
        n_patterns: size of the alphabet; an image shows one pattern more.
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """
    dials = ProgramDials(rho=rho, attention_gain=attention_gain, write_leak=write_leak, read_leak=read_leak)
    circuit = plant_program(model, program(n_patterns=n_patterns), seed=seed, dials=dials)
    return planted_circuit(model, circuit, seed=seed, certified=48, bounds=BOUNDS)
