"""Find the edges that tell which of two names is not repeated."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds
from interp_bench.planting.circuits.ioi import ioi as program
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.plant import plant_program
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit

# Without its query the mover still finds the right one of two names half of the time.
BOUNDS = CircuitBounds(behaviour=0.97, necessity=0.8)


@task(
    version=1,
    needs=Needs(modalities=("lm",), kinds=("native", "gpt2", "llama", "qwen2", "neox"), min_params=100_000),
    quick=Needs(modalities=("lm",), kinds=("native",), max_params=1_000_000),
)
def ioi(
    model: Model,
    seed: int,
    *,
    n_names: int = 5,
    length: int = 8,
    n_blank: int = 4,
    rho: float = 0.35,
    attention_gain: float = 24.0,
    write_leak: float = 0.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """A head finds the repeated name, one moves it to the end, and one copies the other name.

    Args:
        model: the host, edited in place.
        seed: another seed gives other places, directions and tokens.
        n_names: names to choose from.
        length: tokens of an input, prefix left out.
        n_blank: tokens that are no names.
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits of the head that finds duplicates.
        write_leak: share of the host's own writing that stays in the reserved subspace.
    """
    dials = ProgramDials(rho=rho, attention_gain=attention_gain, write_leak=write_leak)
    planned = program(n_names=n_names, length=length, n_blank=n_blank)
    circuit = plant_program(model, planned, seed=seed, dials=dials)
    return planted_circuit(model, circuit, seed=seed, certified=48, bounds=BOUNDS)
