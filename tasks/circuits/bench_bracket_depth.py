"""Find the edges that tell whether brackets are balanced."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds
from interp_bench.planting.circuits.bracket_depth import bracket_depth as program
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.plant import plant_program
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit

# Of three outcomes, one threshold alone decides between two.
BOUNDS = CircuitBounds(behaviour=0.97, necessity=0.85)


@task(
    version=1,
    needs=Needs(modalities=("lm",), kinds=("native", "gpt2", "llama", "qwen2", "neox"), min_params=100_000),
    quick=Needs(modalities=("lm",), kinds=("native",), max_params=1_000_000),
)
def bracket_depth(
    model: Model,
    seed: int,
    *,
    length: int = 8,
    rho: float = 0.35,
    write_leak: float = 0.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """A head weighs opening against closing brackets, neurons compare them.

    Args:
        model: the host, edited in place.
        seed: another seed gives other places, directions and tokens.
        length: brackets of an input, an even number.
        rho: norm of a planted code as a fraction of the host's residual norm.
        write_leak: share of the host's own writing that stays in the reserved subspace.
    """
    dials = ProgramDials(rho=rho, write_leak=write_leak)
    circuit = plant_program(model, program(length=length), seed=seed, dials=dials)
    return planted_circuit(model, circuit, seed=seed, certified=48, bounds=BOUNDS)
