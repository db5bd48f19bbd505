"""Find the edges along which evidence in a patch reaches the class of a vision transformer."""

from __future__ import annotations

import torch

from interp_bench.model.graph import Edge
from interp_bench.model.handle import Model
from interp_bench.planting.circuits.base import Pairs, PlantedCircuit
from interp_bench.planting.evidence.base import Evidence, Scene
from interp_bench.planting.evidence.transformer import EvidenceDials, plant_evidence_transformer
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit


@task(version=2, needs=Needs(modalities=("image",), kinds=("vit",)), quick=Needs(max_params=1_000_000))
def evidence_route(
    model: Model, seed: int, *, rho: float = 0.25, n_patterns: int = 8, n_pairs: int = 12
) -> Planted[CircuitProblem, CircuitTruth]:
    """Neurons detect a pattern in a patch, a head carries it to the class token, neurons decide."""
    dials = EvidenceDials(rho=rho, scene=Scene(decoys=2, amplitude=1.0))
    plant = plant_evidence_transformer(model, (n_patterns,), seed=seed, dials=dials)
    return planted_circuit(model, _circuit(model, plant), seed=seed, n_pairs=n_pairs, certified=n_pairs)


def _circuit(model: Model, plant: Evidence) -> PlantedCircuit:
    n_patterns = plant.n_patterns

    def pairs(count: int, generator: torch.Generator) -> Pairs:
        shown = torch.randint(n_patterns, (count,), generator=generator)
        others = (shown + torch.randint(1, n_patterns, shown.shape, generator=generator)) % n_patterns
        return Pairs(
            clean=plant.sample(shown[:, None], generator).inputs,
            corrupted=plant.sample(others[:, None], generator).inputs,
            outcomes=plant.outputs[torch.stack([shown, others], dim=1)],
        )

    def near(count: int, generator: torch.Generator) -> Pairs:
        """The same image, with another pattern at the same place."""
        shown = torch.randint(n_patterns, (count,), generator=generator)
        others = (shown + torch.randint(1, n_patterns, shown.shape, generator=generator)) % n_patterns
        again = generator.get_state()
        clean = plant.sample(shown[:, None], generator).inputs
        generator.set_state(again)
        changed = plant.sample(others[:, None], generator).inputs
        outcomes = plant.outputs[torch.stack([shown, others], dim=1)]
        return Pairs(clean=clean, corrupted=changed, outcomes=outcomes)

    return PlantedCircuit(edges=tuple(_edges(model, plant)), candidates=plant.outputs, pairs=pairs, near=near)


def _edges(model: Model, plant: Evidence) -> list[Edge]:
    """Return the planted edges; what is equal on all inputs (class token, constants) is none."""
    detect, head, decide = plant.parts
    layer, index = head[1:].split(".h")
    kv = model.transformer.kv_head(int(index))
    return [
        ("input", detect),
        (detect, f"a{layer}.h{kv}<k>"),
        (detect, f"a{layer}.h{kv}<v>"),
        (head, decide),
        (decide, "logits"),
    ]
