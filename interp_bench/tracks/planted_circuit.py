"""From a planted circuit to a problem of the circuits track: what all circuit tasks have in common."""

from __future__ import annotations

from dataclasses import replace

import torch

from interp_bench.model.handle import Model
from interp_bench.planting.circuit import CircuitBounds, certify_circuit
from interp_bench.planting.circuits.base import PlantedCircuit
from interp_bench.tracks.base import Planted
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth

LARGE = 50_000_000
"""Number of parameters above which fewer inputs are shown and certified."""

HUGE = 1_000_000_000
"""Number of parameters above which random sets of the certificate are smaller."""


def planted_circuit(
    model: Model,
    circuit: PlantedCircuit,
    *,
    seed: int,
    n_pairs: int = 16,
    certified: int = 32,
    bounds: CircuitBounds | None = None,
) -> Planted[CircuitProblem, CircuitTruth]:
    """Certify a planted circuit on pairs of its own, and ask for its edges on others.

    Args:
        model: the planted model.
        circuit: what was planted.
        seed: seed of the task; pairs and the problem's own seed are drawn from it.
        n_pairs: pairs that the problem shows.
        certified: pairs that the certificate uses; a quarter of both above ``LARGE`` parameters.
        bounds: what the certificate has to meet.
    """
    bounds = bounds or CircuitBounds()
    if model.spec.params > LARGE:
        n_pairs, certified = max(4, n_pairs // 4), max(8, certified // 4)
        bounds = replace(bounds, rows=1)
    if model.spec.params > HUGE:
        bounds = replace(bounds, most=min(bounds.most, 100))
    # Far from the seeds that plants draw from, which are small numbers.
    generator = torch.Generator().manual_seed(seed + 2**40)
    certificate = certify_circuit(model, circuit, generator, bounds, n_pairs=certified)
    shown = circuit.pairs(n_pairs, generator).to(model.device)
    problem = CircuitProblem(
        model=model,
        seed=int(torch.randint(2**31 - 1, (), generator=generator)),
        clean=shown.clean,
        corrupted=shown.corrupted,
        outcomes=shown.outcomes,
    )
    return Planted(problem=problem, truth=CircuitTruth(edges=circuit.edges), certificate=certificate)
