"""Find the edges that tell whether the last number is greater than the first."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds
from interp_bench.planting.circuits.greater_than import greater_than as program
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.plant import plant_program
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit

# Another number alone leaves half of the answers as they are, by chance.
BOUNDS = CircuitBounds(behaviour=0.97, necessity=0.8)


@task(
    version=1,
    needs=Needs(modalities=("lm",), kinds=("native", "gpt2", "llama", "qwen2", "neox"), min_params=100_000),
    quick=Needs(modalities=("lm",), kinds=("native",), max_params=1_000_000),
)
def greater_than(
    model: Model,
    seed: int,
    *,
    n_numbers: int = 6,
    length: int = 8,
    n_blank: int = 4,
    rho: float = 0.35,
    attention_gain: float = 24.0,
    ramp: float = 0.6,
    write_leak: float = 0.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """Heads carry the number behind "from" to the end, where neurons compare it with the last one.

    Args:
        model: the host, edited in place.
        seed: another seed gives other places, directions and tokens.
        n_numbers: numbers to choose from.
        length: tokens of an input, prefix left out.
        n_blank: tokens that are neither numbers nor "from".
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits of the head that looks one back.
        ramp: width of the slope between off and on of the comparing neurons.
        write_leak: share of the host's own writing that stays in the reserved subspace.
    """
    dials = ProgramDials(rho=rho, attention_gain=attention_gain, ramp=ramp, write_leak=write_leak)
    planned = program(n_numbers=n_numbers, length=length, n_blank=n_blank)
    circuit = plant_program(model, planned, seed=seed, dials=dials)
    return planted_circuit(model, circuit, seed=seed, certified=48, bounds=BOUNDS)
