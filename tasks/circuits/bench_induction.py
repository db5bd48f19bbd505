"""Find the edges of a planted induction circuit in a language model."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.circuits.induction import InductionDials, plant_induction
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit


@task(version=2, needs=Needs(modalities=("lm",), kinds=("native", "gpt2", "llama", "qwen2", "neox")))
def induction(
    model: Model,
    seed: int,
    *,
    rho: float = 0.35,
    attention_gain: float = 30.0,
    write_leak: float = 0.0,
    read_leak: float = 1.0,
) -> Planted[CircuitProblem, CircuitTruth]:
    """A previous-token head and an induction head predict what followed a token before.

    Args:
        model: the host, edited in place.
        seed: another seed gives other directions, layers, heads and tokens.
        rho: norm of a planted code as a fraction of the host's residual norm.
        attention_gain: margin in attention logits.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """
    dials = InductionDials(rho=rho, attention_gain=attention_gain, write_leak=write_leak, read_leak=read_leak)
    plant = plant_induction(model, seed=seed, dials=dials)
    return planted_circuit(model, plant.circuit, seed=seed)
