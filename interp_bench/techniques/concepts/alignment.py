"""Distributed alignment search: learn the subspace by interchanging it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.concepts.discriminants import probe_directions
from interp_bench.techniques.concepts.effects import first_order_gain, measure_effects
from interp_bench.techniques.concepts.site_choice import varying_sites
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Pairs, Subspace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How long to train.

    Attributes:
        batch, steps, sites: pairs a step, steps a site, and sites.
        inputs: inputs that pairs are drawn from.
        screened: inputs that sites are chosen by.
    """

    batch: int
    steps: int
    sites: int
    inputs: int
    screened: int


def _plan(problem: ConceptProblem, steps: int, sites: int, budget: float) -> _Plan:
    middle = problem.sites[len(problem.sites) // 2]
    positions = problem.activations(middle, torch.zeros(1, dtype=torch.long)).shape[1]
    work = problem.model.spec.params * positions
    small = work < 1e9
    batch = 32 if small else 8
    affordable = int(budget / (work * batch))
    tried = max(1, min(sites, affordable // steps))
    return _Plan(
        batch=batch,
        steps=max(8, min(steps, affordable // tried)),
        sites=tried,
        inputs=len(problem.inputs) if small else 32,
        screened=32 if small else 8,
    )


@technique(
    cites="Geiger et al. 2023 (DAS); start from a probe, sites by attribution patching (Nanda 2023)",
    access="gradients",
    cost="1 forward and 1 backward behind the site per step",
)
def das(
    problem: ConceptProblem,
    *,
    steps: int = 50,
    sites: int = 2,
    learning_rate: float = 0.05,
    budget: float = 1e11,
) -> Subspace:
    """An orthonormal basis trained so that interchanging it moves the output to the source's value.

    It starts from what a logistic probe reads and spends at most ``steps`` steps at each of the
    ``sites`` where interchanging those should matter most. ``budget`` bounds the multiply-adds of
    training: larger models get fewer of both, by their size and never by the clock.
    """
    plan = _plan(problem, steps, sites, budget)
    starts = {site: probe_directions(problem, site) for site in varying_sites(problem)}
    effects = measure_effects(problem, plan.screened)
    few = problem.pairs(128, n_inputs=len(effects.inputs))
    gain = {site: first_order_gain(effects, few, site, start) for site, start in starts.items()}
    candidates = sorted(starts, key=lambda site: -gain[site])[: plan.sites]
    pairs = problem.pairs(8192, n_inputs=plan.inputs)
    trained = [_train(problem, site, starts[site], pairs, plan, learning_rate) for site in candidates]
    return min(trained, key=lambda result: result[0])[1]


def _train(
    problem: ConceptProblem, site: str, start: Tensor, pairs: Pairs, plan: _Plan, learning_rate: float
) -> tuple[float, Subspace]:
    """Return the better of the start and the trained subspace, with its loss on pairs kept apart."""
    device = problem.model.device
    rows = start.to(device).clone().requires_grad_()
    optimiser = torch.optim.Adam([rows], lr=learning_rate / rows.shape[1] ** 0.5)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, plan.steps)
    generator = problem.generator()
    apart = 2 * plan.batch
    with torch.enable_grad():
        for _ in range(plan.steps):
            drawn = torch.randint(apart, len(pairs.base), (plan.batch,), generator=generator)
            loss = _loss(problem, pairs.take(drawn), Subspace(site=site, basis=_rotation(rows)))
            (rows.grad,) = torch.autograd.grad(loss, [rows])
            optimiser.step()
            decay.step()
    kept = pairs.take(torch.arange(apart))
    ends = [
        Subspace(site=site, basis=_rotation(end).contiguous()) for end in (start.to(device), rows.detach())
    ]
    with torch.no_grad():
        losses = [float(_loss(problem, kept, end)) for end in ends]
    return min(zip(losses, ends, strict=True), key=lambda result: result[0])


def _loss(problem: ConceptProblem, pairs: Pairs, subspace: Subspace) -> Tensor:
    """Cross-entropy of the interchanged logits with the source's labels."""
    logits = problem.interchange(pairs, subspace).float()
    return functional.cross_entropy(logits, pairs.source_labels.to(logits.device))


def _rotation(rows: Tensor) -> Tensor:
    """Orthonormal rows with the same span; differentiable."""
    basis: Tensor = torch.linalg.qr(rows.T).Q.T
    return basis
