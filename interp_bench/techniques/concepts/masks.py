"""Binary masks: which coordinates of a fixed basis to interchange, learned by annealed sigmoids."""

from __future__ import annotations

import torch
from sklearn.decomposition import PCA
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
    train_interchange,
)
from interp_bench.techniques.concepts.site_choice import scaled_features
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace

CITES = (
    "De Cao et al. 2020, How do decisions emerge across layers (DiffMask); Davies et al. 2023, Discovering "
    "variable binding circuitry with desiderata (DCM); as in Mueller et al. 2025 (MIB)"
)
QUICK = Needs(max_params=50_000)
COST = "1 forward and 1 backward behind the site per step"


def annealed(progress: float, first: float, last: float) -> float:
    """Return the temperature, which falls linearly."""
    return first + (last - first) * progress


def root_of_mask(logits: Tensor, temperature: float) -> Tensor:
    """Return the square root of the mask ``sigmoid(logits / temperature)``.

    An interchange of rows ``root[:, None] * basis`` moves ``basis.T @ diag(mask) @ basis`` of the
    difference: the mask itself, at the price of an ordinary interchange.
    """
    return torch.exp(0.5 * functional.logsigmoid(logits / temperature))


def chosen(logits: Tensor) -> Tensor:
    """Return the indices whose mask is above a half, or the one nearest to it."""
    found = (logits > 0).nonzero()[:, 0]
    return found if len(found) else logits.argmax().view(1)


@technique(cites=CITES, access="gradients", cost=COST, quick=QUICK)
def binary_mask(
    problem: ConceptProblem,
    *,
    steps: int = 100,
    sites: int = 1,
    sparsity: float = 1.0,
    isolation: float = 1.0,
    learning_rate: float = 0.01,
    budget: float = 1e11,
) -> Subspace:
    """The neurons whose interchange moves the output to the source's value, by a learned mask.

    The mask is ``sigmoid(logits / T)``, ``T`` falls from 1 to 0.01 and Adam's rate is 0.01 as in MIB; a
    neuron is taken where its mask ends above a half.

    Args:
        problem: the problem.
        steps: most training steps at a site.
        sites: sites at which it trains: where interchanging what a probe reads should matter most.
        sparsity: weight of the L1 norm of the mask, which is the share of neurons taken: 1 is that of
            Boundless DAS, a share of all neurons against a nat of cross-entropy.
        isolation: weight of leaving the other logits as they were.
        learning_rate: of Adam.
        budget: multiply-adds of training.
    """
    plan = plan_training(problem, steps, sites, budget)
    return best_of(
        _train(aim, torch.eye(problem.model.width(aim.site)), sparsity, learning_rate)
        for aim in aims(problem, plan, promising_sites(problem, plan), isolation)
    )


@technique(
    cites=f"{CITES}; the basis of principal components of Huang et al. 2024 (RAVEL)",
    access="gradients",
    cost=f"one SVD a site, {COST}",
    quick=QUICK,
)
def binary_mask_pca(
    problem: ConceptProblem,
    *,
    steps: int = 100,
    sites: int = 1,
    sparsity: float = 1.0,
    isolation: float = 1.0,
    learning_rate: float = 0.01,
    budget: float = 1e11,
) -> Subspace:
    """The principal components whose interchange moves the output to the source's value, by a learned mask.

    Note:
        On the two smallest hosts, where the quick tier keeps it, its mean skill is 0.09 with an interval
        that holds 0; which components carry the variable was not looked into.

    Args:
        problem: the problem.
        steps: most training steps at a site.
        sites: sites at which it trains: where interchanging what a probe reads should matter most.
        sparsity: weight of the share of components taken.
        isolation: weight of leaving the other logits as they were.
        learning_rate: of Adam.
        budget: multiply-adds of training.
    """
    plan = plan_training(problem, steps, sites, budget)
    return best_of(
        _train(aim, principal_components(problem, aim.site), sparsity, learning_rate)
        for aim in aims(problem, plan, promising_sites(problem, plan), isolation)
    )


def principal_components(problem: ConceptProblem, site: str) -> Tensor:
    """Return (k, width) principal components of the activations at a site, all of them, strongest first."""
    fitted = PCA(svd_solver="full").fit(scaled_features(problem, site))
    rows = fitted.components_[fitted.explained_variance_ > 1e-9 * fitted.explained_variance_[0]]
    return torch.from_numpy(rows).float()


def _train(aim: Aim, rows: Tensor, sparsity: float, learning_rate: float) -> Result:
    basis = rows.to(aim.problem.model.device)
    logits = torch.zeros(len(basis), device=basis.device, requires_grad=True)

    def root(progress: float) -> Tensor:
        return root_of_mask(logits, annealed(progress, 1.0, 0.01))

    train_interchange(
        aim,
        [{"params": [logits], "lr": learning_rate}],
        lambda progress: aim.rows(root(progress)[:, None] * basis),
        lambda progress: sparsity * root(progress).square().mean(),
    )
    return judged(aim, basis[chosen(logits.detach())])
