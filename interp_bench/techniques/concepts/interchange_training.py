"""What techniques share that learn where to interchange: how long they train, at which sites, on what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.concepts.discriminants import probe_directions
from interp_bench.techniques.concepts.effects import first_order_gain, measure_effects
from interp_bench.techniques.concepts.site_choice import varying_sites
from interp_bench.tracks.concepts import ConceptProblem, Pairs, Subspace, read_logits, run_from, swap

Change = Callable[[Tensor, Tensor], Tensor]
"""(base, source) activations (n, position, width) -> what becomes of the base."""

Changing = Callable[[float], Change]
"""progress of training from 0 to 1 -> what is done then."""

Result = tuple[float, Subspace]
"""The loss of an answer on pairs kept apart, and the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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

    @property
    def apart(self) -> int:
        """Number of pairs that are not trained on."""
        return 2 * self.batch


def plan_training(
    problem: ConceptProblem, steps: int, sites: int, budget: float, *, aside: float = 0.0
) -> Plan:
    """Return the plan that a budget of multiply-adds pays for, by the size of the model.

    Args:
        problem: the problem.
        steps: most steps a site.
        sites: most sites.
        budget: multiply-adds of training.
        aside: multiply-adds of a step that are not the network's.
    """
    middle = problem.sites[len(problem.sites) // 2]
    positions = problem.activations(middle, torch.zeros(1, dtype=torch.long)).shape[1]
    work = problem.model.spec.params * positions
    small = work < 1e9
    batch = 32 if small else 8
    affordable = int(budget / (work * batch + aside))
    tried = max(1, min(sites, affordable // steps))
    return Plan(
        batch=batch,
        steps=max(8, min(steps, affordable // tried)),
        sites=tried,
        inputs=len(problem.inputs) if small else 32,
        screened=32 if small else 8,
    )


def promising_sites(problem: ConceptProblem, plan: Plan) -> dict[str, Tensor]:
    """Return site -> rows that a probe reads, where interchanging these should matter most.

    The best site comes first; there are at most ``plan.sites``.
    """
    starts = {site: probe_directions(problem, site) for site in varying_sites(problem)}
    effects = measure_effects(problem, plan.screened)
    few = problem.pairs(128, n_inputs=len(effects.inputs))
    gain = {site: first_order_gain(effects, few, site, start) for site, start in starts.items()}
    best = sorted(starts, key=lambda site: -gain[site])[: plan.sites]
    return {site: starts[site] for site in best}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What an interchange at a site should do.

    Attributes:
        problem: the problem.
        plan: how long to train.
        site: the site.
        pairs: pairs of inputs, of which the first ``plan.apart`` are kept apart.
        isolation: weight of leaving the other logits as they were.
        resting: (n_inputs, n_outputs) logits without an interchange, where isolation has a weight.
    """

    problem: ConceptProblem
    plan: Plan
    site: str
    pairs: Pairs
    isolation: float = 0.0
    resting: Tensor | None = None

    def rows(self, rows: Tensor) -> Change:
        """Return the interchange of (k, width) rows, orthogonal to each other."""
        return lambda base, source: swap(base, source, rows, self.problem.position)

    def loss(self, pairs: Pairs, change: Change) -> Tensor:
        """Return the loss of a change: cause, and isolation where it has a weight.

        Cause is the cross-entropy of the logits of the values with the source's label (Geiger et al. 2024,
        section 3). Isolation is the divergence of all other logits from those of the base, so that what
        the variable does not decide stays: the second task of Huang et al. 2024 (RAVEL), which
        counterfactual labels of a whole output hold too.
        """
        problem = self.problem
        base, source = (problem.activations(self.site, index) for index in (pairs.base, pairs.source))
        logits = _final(run_from(problem.model, problem.inputs, self.site, change(base, source)))
        labels = pairs.source_labels.to(logits.device)
        loss = functional.cross_entropy(read_logits(logits, problem.outputs), labels)
        if self.resting is None:
            return loss
        before = self.resting[pairs.base]
        return loss + self.isolation * divergence_of_others(before, logits, problem.outputs)


def aims(problem: ConceptProblem, plan: Plan, sites: Iterable[str], isolation: float) -> list[Aim]:
    """Return what interchange should do at each of some sites.

    Isolation counts for nothing where the model has no two logits beside those of the values.
    """
    resting = None
    if isolation:
        inputs = problem.inputs[: plan.inputs].split(plan.batch)
        resting = torch.cat([_final(problem.model.logits(part)) for part in inputs])
        resting = resting if resting.shape[1] >= len(problem.outputs) + 2 else None
    pairs = problem.pairs(8192, n_inputs=plan.inputs)
    return [
        Aim(problem=problem, plan=plan, site=site, pairs=pairs, isolation=isolation, resting=resting)
        for site in sites
    ]


def _final(logits: Tensor) -> Tensor:
    """Return float32 (n, n_outputs) logits, of the last position where there are positions."""
    return (logits[:, -1] if logits.ndim == 3 else logits).float()


def divergence_of_others(before: Tensor, after: Tensor, outputs: Tensor) -> Tensor:
    """Return the mean KL divergence of distributions over all logits (n, n_outputs) but some.

    Args:
        before: logits whose distribution is to be kept.
        after: logits that are compared with it.
        outputs: (n_values,) indices that are left out.
    """
    others = torch.ones(before.shape[1], dtype=torch.bool, device=before.device)
    others[outputs.to(before.device)] = False
    kept, now = before[:, others].log_softmax(1), after[:, others].log_softmax(1)
    return functional.kl_div(now, kept, reduction="batchmean", log_target=True)


def train_interchange(
    aim: Aim, parameters: Iterable[Any], changing: Changing, penalty: Callable[[float], Tensor] | None = None
) -> None:
    """Fit parameters in place to the loss of an interchange.

    Args:
        aim: what the interchange should do.
        parameters: groups that ``torch.optim.Adam`` takes, each with its own ``lr``, which falls linearly
            to a tenth.
        changing: what is interchanged.
        penalty: (progress) -> scalar that is added to the loss.
    """
    plan, pairs, generator = aim.plan, aim.pairs, aim.problem.generator()
    optimiser = torch.optim.Adam(parameters)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, plan.steps)
    leaves = [leaf for group in optimiser.param_groups for leaf in group["params"]]
    with torch.enable_grad():
        for step in range(plan.steps):
            progress = step / max(1, plan.steps - 1)
            drawn = torch.randint(plan.apart, len(pairs.base), (plan.batch,), generator=generator)
            loss = aim.loss(pairs.take(drawn), changing(progress))
            if penalty is not None:
                loss = loss + penalty(progress)
            for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                leaf.grad = gradient
            optimiser.step()
            decay.step()


def judged(aim: Aim, basis: Tensor) -> Result:
    """Return an answer with its loss on the pairs that were not trained on."""
    kept = aim.pairs.take(torch.arange(aim.plan.apart))
    with torch.no_grad():
        loss = float(aim.loss(kept, aim.rows(basis)))
    return loss, Subspace(site=aim.site, basis=basis.contiguous())


def best_of(results: Iterable[Result]) -> Subspace:
    """Return the answer of the smallest loss, the first of equals."""
    return min(results, key=lambda result: result[0])[1]


def rotation(rows: Tensor) -> Tensor:
    """Return orthonormal rows with the same span; differentiable."""
    basis: Tensor = torch.linalg.qr(rows.T).Q.T
    return basis


def starting_rows(problem: ConceptProblem, probe: Tensor, rank: int, start: str) -> Tensor:
    """Return (rank, width) rows to start from: drawn at random, or those of the probe and then random ones.

    Args:
        problem: gives the randomness and the device.
        probe: (k, width) what the probe reads.
        rank: number of rows.
        start: ``probe`` or ``random``.

    Raises:
        ValueError: ``start`` is neither.
    """
    if start not in ("probe", "random"):
        raise ValueError(f"start is {start!r}; give probe or random")
    drawn: Tensor = torch.randn(rank, probe.shape[1], generator=problem.generator()) / probe.shape[1] ** 0.5
    if start == "probe":
        drawn[: len(probe)] = probe[:rank]
    return drawn.to(problem.model.device)
