"""Distributed alignment search: learn the subspace by interchanging it."""

from __future__ import annotations

from torch import Tensor

from interp_bench.techniques.concepts.interchange_training import (
    Aim,
    Result,
    aims,
    best_of,
    judged,
    plan_training,
    promising_sites,
    rotation,
    starting_rows,
    train_interchange,
)
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace


@technique(
    cites="Geiger et al. 2024, Finding alignments between interpretable causal variables and distributed "
    "neural representations (DAS), section 3; start from a probe, sites by attribution patching (Nanda 2023)",
    access="gradients",
    cost="1 forward and 1 backward behind the site per step",
    quick=Needs(max_params=250_000),
)
def das(
    problem: ConceptProblem,
    *,
    steps: int = 50,
    sites: int = 2,
    learning_rate: float = 0.05,
    budget: float = 1e11,
    start: str = "probe",
    isolation: float = 0.0,
) -> Subspace:
    """An orthonormal basis trained so that interchanging it moves the output to the source's value.

    The paper draws the first rotation at random and sees millions of pairs; from there 50 steps are too
    few. The basis starts from what a logistic probe reads, and the start itself is the answer where
    training did not help.

    Args:
        problem: the problem.
        steps: most training steps at a site.
        sites: sites at which it trains: where interchanging the start should matter most.
        learning_rate: of Adam, times the square root of the width.
        budget: multiply-adds of training: larger models get fewer steps and sites, by their size and never
            by the clock.
        start: ``probe``, or ``random`` as in the paper.
        isolation: weight of leaving the other logits as they were (MDAS of Huang et al. 2024).
    """
    plan = plan_training(problem, steps, sites, budget)
    starts = promising_sites(problem, plan)
    return best_of(
        _train(aim, starting_rows(problem, starts[aim.site], len(starts[aim.site]), start), learning_rate)
        for aim in aims(problem, plan, starts, isolation)
    )


def _train(aim: Aim, start: Tensor, learning_rate: float) -> Result:
    """Return the better of the start and the trained subspace, with its loss on pairs kept apart."""
    rows = start.clone().requires_grad_()
    groups = [{"params": [rows], "lr": learning_rate / rows.shape[1] ** 0.5}]
    train_interchange(aim, groups, lambda _: aim.rows(rotation(rows)))
    ends = [judged(aim, rotation(end)) for end in (start, rows.detach())]
    return min(ends, key=lambda result: result[0])
