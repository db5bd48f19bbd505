"""Certifying a planted circuit by interventions on its edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.edges import patched_logits, source_outputs
from interp_bench.model.graph import Edge
from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBounds:
    """What a planted circuit has to meet; all numbers are accuracies on the certifying batch.

    Attributes:
        behaviour: the whole network, at least.
        sufficiency: the circuit alone, every other edge resampled at once, at least.
        necessity: with one edge of the circuit resampled, at most.
        inertness: with a random share of all other edges resampled at once, at least.
        random_sets: how many random sets are tried.
        share: the share of the other edges in each random set.
        most: the most edges in a random set. Resampling thousands of edges of a pretrained host one
            by one breaks cancellations between its MLPs, and with them the host, not the plant.
    """

    behaviour: float = 0.95
    sufficiency: float = 0.95
    necessity: float = 0.6
    inertness: float = 0.9
    random_sets: int = 12
    share: float = 0.1
    most: int = 500


def certify_circuit(
    model: Model,
    edges: list[Edge],
    clean: Tensor,
    corrupted: Tensor,
    correct: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    bounds: CircuitBounds | None = None,
) -> Certificate:
    """Measure sufficiency, necessity of each edge and joint inertness of the rest.

    Args:
        model: the planted model.
        edges: the planted circuit.
        clean: (batch, ...) inputs.
        corrupted: (batch, ...) inputs with different outcomes; resampled edges carry what they
            carry on the corrupted input of the same row.
        correct: logits -> (batch,) bool, whether the clean outcome came out.
        generator: draws the random sets.
        bounds: what has to be met.
    """
    bounds = bounds or CircuitBounds()
    graph = model.graph
    planted, valid = graph.mask(edges), graph.valid
    replacement = source_outputs(model, corrupted)

    def accuracy(cut: Tensor) -> float:
        with torch.no_grad():
            return float(correct(patched_logits(model, clean, replacement, cut)).double().mean())

    nothing = torch.zeros_like(planted)
    checks = [
        Check(name="behaviour", value=accuracy(nothing), relation=">=", bound=bounds.behaviour),
        Check(name="sufficiency", value=accuracy(valid & ~planted), relation=">=", bound=bounds.sufficiency),
        Check(name="necessity[all]", value=accuracy(planted), relation="<=", bound=bounds.necessity),
    ]
    for edge in edges:
        name = f"necessity[{edge[0]}->{edge[1]}]"
        value = accuracy(graph.mask([edge]))
        checks.append(Check(name=name, value=value, relation="<=", bound=bounds.necessity))
    rest = valid & ~planted
    size = min(int(bounds.share * int(rest.sum())), bounds.most)
    lowest = min(accuracy(_random_set(rest, size, generator)) for _ in range(bounds.random_sets))
    name = f"inertness[{bounds.random_sets} random sets of {size} edges]"
    checks.append(Check(name=name, value=lowest, relation=">=", bound=bounds.inertness))
    return Certificate(checks=tuple(checks))


def _random_set(edges: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw ``size`` of the edges of a mask."""
    rows = torch.nonzero(edges)
    chosen = rows[torch.randperm(len(rows), generator=generator)[:size]]
    drawn = torch.zeros_like(edges)
    drawn[chosen[:, 0], chosen[:, 1]] = True
    return drawn
