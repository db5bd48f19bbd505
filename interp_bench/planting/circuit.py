"""Certifying a planted circuit by interventions on its edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.edge_runs import EdgeRuns
from interp_bench.model.graph import Edge
from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.planting.circuits.base import Pairs, PlantedCircuit

_TOGETHER = 25  # inputs that random sets are tried on in one run


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBounds:
    """What a planted circuit has to meet; all numbers are accuracies on the certifying pairs.

    Attributes:
        behaviour: the whole network, at least; also on both sides of near pairs.
        sufficiency: the circuit alone, every other edge resampled at once, at least.
        necessity: with one edge of the circuit resampled, at most.
        interchange: agreement with what the behaviour predicts when one edge is resampled, at least.
        inertness: over random sets of other edges, each resampled at once, at least.
        worst_set: the same in the worst of the sets, at least; not asked of sets tried on one input.
        random_sets: how many random sets are tried.
        rows: on how many inputs each set is tried.
        share: the share of the other edges in each random set.
        most: the most edges in a random set. Resampling thousands of edges of a pretrained host one
            by one breaks cancellations between its MLPs, and with them the host, not the plant.
    """

    behaviour: float = 0.95
    sufficiency: float = 0.95
    necessity: float = 0.6
    interchange: float = 0.9
    inertness: float = 0.9
    worst_set: float = 0.5
    random_sets: int = 50
    rows: int = 4
    share: float = 0.1
    most: int = 500


def certify_circuit(
    model: Model,
    circuit: PlantedCircuit,
    generator: torch.Generator,
    bounds: CircuitBounds | None = None,
    *,
    n_pairs: int = 32,
) -> Certificate:
    """Measure behaviour, sufficiency, necessity of each edge and joint inertness of the rest.

    A resampled edge carries what it carries on the corrupted input of the same pair. Being the
    complement of the circuit, the edges cut for sufficiency leave the circuit alone.

    Args:
        model: the planted model.
        circuit: what was planted.
        generator: draws the pairs and the random sets.
        bounds: what has to be met.
        n_pairs: number of pairs of each kind.
    """
    bounds = bounds or CircuitBounds()
    trial = _Trial(model, circuit, circuit.pairs(n_pairs, generator).to(model.device))
    planted, valid = model.graph.mask(list(circuit.edges)), model.graph.valid
    behaviour = trial.accuracy(torch.zeros_like(planted))
    checks = [
        Check(name="behaviour", value=behaviour, relation=">=", bound=bounds.behaviour),
        *_near(model, circuit, circuit.near(n_pairs, generator).to(model.device), bounds.behaviour),
        Check(
            name="sufficiency",
            value=trial.accuracy(valid & ~planted),
            relation=">=",
            bound=bounds.sufficiency,
        ),
        Check(name="necessity[all]", value=trial.accuracy(planted), relation="<=", bound=bounds.necessity),
    ]
    for edge in circuit.edges:
        checks += _edge(trial, edge, bounds)
    return Certificate(checks=(*checks, *_inertness(trial, valid & ~planted, generator, bounds)))


class _Trial:
    """Runs of the clean inputs of some pairs, with cut edges carrying the corrupted run's values."""

    def __init__(self, model: Model, circuit: PlantedCircuit, pairs: Pairs) -> None:
        self.model, self.circuit, self.pairs = model, circuit, pairs
        self.runs = EdgeRuns(model, pairs.clean, pairs.corrupted)
        self.clean = pairs.outcomes[:, 0].cpu()

    def decided(self, cut: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return (n,), the outcomes with some edges cut; arguments as in ``EdgeRuns.logits``."""
        return self.circuit.decided(self.runs.logits(cut, rows)).cpu()

    def kept(self, cut: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return (n,) bool, whether the clean outcome stays."""
        return self.decided(cut, rows) == (self.clean if rows is None else self.clean[rows])

    def accuracy(self, cut: Tensor) -> float:
        return float(self.kept(cut).double().mean())


def _edge(trial: _Trial, edge: Edge, bounds: CircuitBounds) -> list[Check]:
    """Check that an edge is needed, and that replacing its value does what the behaviour says."""
    name = f"[{edge[0]}->{edge[1]}]"
    decided = trial.decided(trial.model.graph.mask([edge]))
    lost = float((decided == trial.clean).double().mean())
    checks = [Check(name=f"necessity{name}", value=lost, relation="<=", bound=bounds.necessity)]
    if trial.circuit.predict is not None:
        expected = trial.circuit.predict(trial.pairs, edge).cpu()
        known = expected >= 0
        agreed = float((decided == expected)[known].double().mean()) if bool(known.any()) else 1.0
        checks.append(Check(name=f"interchange{name}", value=agreed, relation=">=", bound=bounds.interchange))
    return checks


def _near(model: Model, circuit: PlantedCircuit, pairs: Pairs, bound: float) -> list[Check]:
    """Check that the network tells apart inputs that differ as little as possible."""
    decided = circuit.decided(model.logits(torch.cat([pairs.clean, pairs.corrupted])))
    sides = zip(("clean", "changed"), decided.split(len(pairs)), pairs.outcomes.unbind(1), strict=True)
    checks = []
    for name, winners, outcome in sides:
        value = float((winners == outcome).double().mean())
        checks.append(Check(name=f"near[{name}]", value=value, relation=">=", bound=bound))
    return checks


def _inertness(
    trial: _Trial, rest: Tensor, generator: torch.Generator, bounds: CircuitBounds
) -> tuple[Check, ...]:
    """Resample random sets of other edges at once, a set of its own in each row of a batch."""
    size = min(int(bounds.share * int(rest.sum())), bounds.most)
    kept = torch.zeros(bounds.random_sets)
    jobs = torch.arange(bounds.random_sets).repeat(bounds.rows)
    rows = torch.arange(len(jobs)) % len(trial.pairs)
    sets = [_random_set(rest, size, generator) for _ in range(bounds.random_sets)]
    for mine, on in zip(jobs.split(_TOGETHER), rows.split(_TOGETHER), strict=True):
        stays = trial.kept(torch.stack([sets[i] for i in mine.tolist()]), on)
        kept.index_add_(0, mine, stays.float())
    shares = kept / bounds.rows
    name = f"{bounds.random_sets} random sets of {size} edges"
    mean, worst = float(shares.mean()), float(shares.min())
    checks = [Check(name=f"inertness[{name}]", value=mean, relation=">=", bound=bounds.inertness)]
    if bounds.rows > 1:
        checks.append(
            Check(name=f"inertness[worst of {name}]", value=worst, relation=">=", bound=bounds.worst_set)
        )
    return tuple(checks)


def _random_set(edges: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw ``size`` of the edges of a mask."""
    rows = torch.nonzero(edges)
    chosen = rows[torch.randperm(len(rows), generator=generator)[:size]]
    drawn = torch.zeros_like(edges)
    drawn[chosen[:, 0], chosen[:, 1]] = True
    return drawn
