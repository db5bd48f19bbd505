"""Find the edges of a planted induction circuit in a language model."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds, certify_circuit
from interp_bench.planting.induction import Induction, InductionDials, plant_induction
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth

_LARGE = 50_000_000


@task(version=1, needs=Needs(modalities=("lm",), kinds=("native", "gpt2", "llama", "qwen2", "neox")))
def induction(
    model: Model, seed: int, *, rho: float = 0.35, attention_gain: float = 30.0, n_tokens: int = 160
) -> Planted[CircuitProblem, CircuitTruth]:
    """A previous-token head and an induction head predict what followed a token before."""
    plant = plant_induction(model, seed=seed, dials=InductionDials(rho=rho, attention_gain=attention_gain))
    generator = torch.Generator().manual_seed(seed + 1)
    n_pairs = _n_pairs(model, plant, n_tokens)
    clean, corrupted, answers, others = _pairs(plant, 2 * n_pairs, generator)
    alphabet = plant.alphabet

    def correct(logits: Tensor) -> Tensor:
        return logits[:, -1, alphabet].argmax(-1) == answers[n_pairs:]

    bounds = CircuitBounds(random_sets=6 if model.spec.params > _LARGE else 12)
    certificate = certify_circuit(
        model, list(plant.edges), clean[n_pairs:], corrupted[n_pairs:], correct, generator, bounds
    )
    outcomes = torch.stack([alphabet[answers], alphabet[others]], dim=1)[:n_pairs]
    problem = CircuitProblem(
        model=model,
        seed=int(torch.randint(2**31 - 1, (), generator=generator)),
        clean=clean[:n_pairs],
        corrupted=corrupted[:n_pairs],
        outcomes=outcomes.to(model.device),
    )
    return Planted(problem=problem, truth=CircuitTruth(edges=plant.edges), certificate=certificate)


def _n_pairs(model: Model, plant: Induction, n_tokens: int) -> int:
    """Return how many pairs make about ``n_tokens`` tokens; half of them above 50 M parameters."""
    budget = n_tokens if model.spec.params <= _LARGE else n_tokens // 2
    return max(6, budget // plant.length)


def _pairs(plant: Induction, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Draw clean and corrupted inputs with different answers."""
    clean, answers = plant.sample(8 * count, generator)
    corrupted, others = plant.sample(8 * count, generator)
    differ = torch.nonzero(answers != others).flatten()[:count]
    return clean[differ], corrupted[differ], answers[differ], others[differ]
