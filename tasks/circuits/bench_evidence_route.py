"""Find the edges along which evidence in a patch reaches the class of a vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.graph import Edge
from interp_bench.model.handle import Model
from interp_bench.planting.circuit import certify_circuit
from interp_bench.planting.evidence.base import Evidence
from interp_bench.planting.evidence.transformer import EvidenceDials, plant_evidence_transformer
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth


@task(version=1, needs=Needs(modalities=("image",), kinds=("vit",)))
def evidence_route(
    model: Model, seed: int, *, rho: float = 0.25, n_patterns: int = 8, n_pairs: int = 12
) -> Planted[CircuitProblem, CircuitTruth]:
    """Neurons detect a pattern in a patch, a head carries it to the class token, neurons decide."""
    plant = plant_evidence_transformer(model, (n_patterns,), seed=seed, dials=EvidenceDials(rho=rho))
    generator = torch.Generator().manual_seed(seed + 1)
    clean, shown = _draw(plant, 2 * n_pairs, generator)
    others = (shown + torch.randint(1, n_patterns, shown.shape, generator=generator)) % n_patterns
    corrupted = plant.sample(others[:, None], generator).inputs
    edges = _edges(model, plant)

    def correct(logits: Tensor) -> Tensor:
        return plant.read(logits).argmax(-1).cpu() == shown[n_pairs:]

    certificate = certify_circuit(model, edges, clean[n_pairs:], corrupted[n_pairs:], correct, generator)

    outcomes = plant.outputs[torch.stack([shown, others], dim=1)][:n_pairs]
    problem = CircuitProblem(
        model=model,
        seed=int(torch.randint(2**31 - 1, (), generator=generator)),
        clean=clean[:n_pairs],
        corrupted=corrupted[:n_pairs],
        outcomes=outcomes.to(model.device),
    )
    return Planted(problem=problem, truth=CircuitTruth(edges=tuple(edges)), certificate=certificate)


def _draw(plant: Evidence, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    shown = torch.randint(plant.n_patterns, (count,), generator=generator)
    return plant.sample(shown[:, None], generator).inputs, shown


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
