"""Find the edges of a planted induction circuit in a language model."""

from __future__ import annotations

import torch

from interp_bench.model.handle import Model
from interp_bench.planting.circuits.base import Pairs, PlantedCircuit
from interp_bench.planting.induction import Induction, InductionDials, plant_induction
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
    return planted_circuit(model, _circuit(plant), seed=seed)


def _circuit(plant: Induction) -> PlantedCircuit:
    def pairs(count: int, generator: torch.Generator) -> Pairs:
        clean, answers = plant.sample(8 * count, generator)
        corrupted, others = plant.sample(8 * count, generator)
        differ = torch.nonzero(answers != others).flatten()[:count]
        outcomes = plant.alphabet[torch.stack([answers, others], dim=1)]
        return Pairs(clean=clean, corrupted=corrupted, outcomes=outcomes).at(differ)

    def near(count: int, generator: torch.Generator) -> Pairs:
        """Another token of the input stands at the end."""
        clean, answers = plant.sample(count, generator)
        changed = clean.clone()
        first, n = len(plant.prefix), len(plant.alphabet)
        body = clean[:, first:-1]
        place = (body == clean[:, -1:]).int().argmax(1)
        other = (place + torch.randint(1, n - 1, (count,), generator=generator)) % (n - 1)
        changed[:, -1] = body.gather(1, other[:, None])[:, 0]
        followed = body.gather(1, other[:, None] + 1)[:, 0]
        outcomes = torch.stack([plant.alphabet[answers], followed], dim=1)
        return Pairs(clean=clean, corrupted=changed, outcomes=outcomes)

    return PlantedCircuit(edges=plant.edges, candidates=plant.alphabet, pairs=pairs, near=near)
