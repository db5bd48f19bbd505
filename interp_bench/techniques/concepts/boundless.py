"""Boundless DAS: a rotation of the whole site, and a learned boundary that says how much of it to take."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

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
from interp_bench.techniques.concepts.masks import QUICK, annealed
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace

_PAPER_WIDTH = 4096
"""Width of the model (Alpaca 7B) for which the paper gives temperatures in dimensions."""

_QR = 20.0
"""Multiply-adds of a QR decomposition and its backward pass, as a multiple of the cube of the width."""


def root_of_boundary(index: Tensor, boundary: Tensor, temperature: float) -> Tensor:
    """Return the square root of ``sigmoid(index / T) * sigmoid((boundary - index) / T)``.

    Section 3.2 of the paper, with the left boundary at 0.
    """
    left = functional.logsigmoid(index / temperature)
    right = functional.logsigmoid((boundary - index) / temperature)
    return torch.exp(0.5 * (left + right))


@technique(
    cites="Wu et al. 2023, Interpretability at scale: identifying causal mechanisms in Alpaca (Boundless "
    "DAS), section 3.2; start from a probe",
    access="gradients",
    cost="1 forward and 1 backward behind the site per step, and a QR of the width",
    quick=QUICK,
)
def boundless_das(
    problem: ConceptProblem,
    *,
    steps: int = 100,
    sites: int = 1,
    sparsity: float = 1.0,
    isolation: float = 1.0,
    learning_rate: float = 0.05,
    boundary_rate: float = 0.01,
    first_temperature: float = 50.0,
    last_temperature: float = 0.1,
    budget: float = 1e11,
    start: str = "probe",
) -> Subspace:
    """Rotation of a whole site and how many of its rows to interchange, learned with an annealed boundary.

    The boundary starts at half of the width. Rows count at their middles (1/2, 3/2, ...), so that the first
    is not cut by the left boundary.

    Args:
        problem: the problem.
        steps: most training steps at a site.
        sites: sites at which it trains: where interchanging what a probe reads should matter most.
        sparsity: weight of the boundary, as a share of the width, in the loss; 1 in the paper.
        isolation: weight of leaving the other logits as they were.
        learning_rate: Adam's rate for the rotation, times the square root of the width.
        boundary_rate: Adam's rate for the boundary, as a share of the width; 0.01 in the paper.
        first_temperature: temperature at the start, in dimensions of 4,096 as in the paper; it is scaled to
            the width of the site.
        last_temperature: temperature at the end, likewise.
        budget: multiply-adds of training.
        start: ``probe`` puts what a probe reads into the first rows; ``random`` as in the paper.
    """
    width = max(problem.model.width(site) for site in problem.sites)
    plan = plan_training(problem, steps, sites, budget, aside=_QR * width**3)
    heat = (first_temperature / _PAPER_WIDTH, last_temperature / _PAPER_WIDTH)
    rates = (learning_rate, boundary_rate)
    starts = {
        site: starting_rows(problem, rows, rows.shape[1], start)
        for site, rows in promising_sites(problem, plan).items()
    }
    return best_of(
        _train(aim, starts[aim.site], sparsity, rates, heat) for aim in aims(problem, plan, starts, isolation)
    )


def _train(
    aim: Aim, start: Tensor, sparsity: float, rates: tuple[float, float], heat: tuple[float, float]
) -> Result:
    rows = start.clone().requires_grad_()
    width = len(rows)
    share = torch.tensor(0.5, device=rows.device, requires_grad=True)
    index = torch.arange(width, device=rows.device) + 0.5

    def boundary() -> Tensor:
        return share.clamp(1e-3, 1)

    def basis(progress: float) -> Tensor:
        root = root_of_boundary(index, boundary() * width, annealed(progress, *heat) * width)
        return root[:, None] * rotation(rows)

    groups = [{"params": [rows], "lr": rates[0] / width**0.5}, {"params": [share], "lr": rates[1]}]
    train_interchange(
        aim, groups, lambda progress: aim.rows(basis(progress)), lambda _: sparsity * boundary()
    )
    taken = max(1, int((index < float(boundary().detach()) * width).sum()))
    return judged(aim, rotation(rows.detach())[:taken])
