"""Contrast pairs: directions along which two inputs that differ in the variable stand apart."""

from __future__ import annotations

import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from interp_bench.techniques.concepts.site_choice import earliest, most_decodable, varying_sites
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.concepts import ConceptProblem, Pairs, Subspace, orthonormal


def consistency_loss(p: Tensor, q: Tensor) -> Tensor:
    """Return (...,) losses of contrast pairs: ``(p - (1 - q))^2 + min(p, q)^2``.

    Burns et al. 2022, equations 1 and 2: one of the two is true, and the probe is to say which.

    Args:
        p: probability that the first of a pair is true.
        q: probability that the second is.
    """
    return (p - (1 - q)).square() + torch.minimum(p, q).square()


@technique(
    cites="Burns et al. 2022, Discovering latent knowledge without supervision (CCS), section 2.2",
    cost="300 steps of tiny probes per site",
    quick=Needs(max_params=50_000),
)
def contrast_consistent_search(
    problem: ConceptProblem,
    *,
    n_pairs: int = 1024,
    tries: int = 10,
    steps: int = 300,
    learning_rate: float = 0.01,
    weight_decay: float = 0.01,
) -> Subspace:
    """Probes that say of each pair which input has a value, found by consistency and confidence alone.

    A contrast pair of a value are two inputs of which one has the value and the other has not; the probe is
    not told which. There is one probe a value. The site is the one of the lowest loss on pairs of the last
    quarter of the inputs, which no probe is trained on: in many dimensions any site fits its pairs.

    Args:
        problem: the problem.
        n_pairs: pairs of inputs with different labels.
        tries: random starts, of which the one of the lowest loss counts; 10 in the paper.
        steps: steps of AdamW on all pairs; 1,000 in the paper, at a tenth of the learning rate.
        learning_rate: of AdamW.
        weight_decay: of AdamW; 0.01 in the authors' code.
    """
    pairs = problem.pairs(n_pairs)
    found = {
        site: _search(problem, site, pairs, tries, steps, learning_rate, weight_decay)
        for site in varying_sites(problem)
    }
    site = earliest(list(found), [-loss for loss, _ in found.values()])
    return Subspace(site=site, basis=found[site][1])


def _search(
    problem: ConceptProblem, site: str, pairs: Pairs, tries: int, steps: int, rate: float, decay: float
) -> tuple[float, Tensor]:
    """Return the loss of the best tries on pairs kept apart, and the (n_values - 1, width) rows they read."""
    x = problem.features(site)
    spread = x.std(0)
    spread = torch.where(spread > 1e-9 * spread.max(), spread, torch.inf)
    x = (x - x.mean(0)) / spread
    start = torch.randn(tries, problem.n_values, x.shape[1], generator=problem.generator())
    theta = (start / x.shape[1] ** 0.5).to(x).requires_grad_()
    bias = torch.zeros(tries, problem.n_values, 1, device=x.device, requires_grad=True)
    cut = 3 * len(x) // 4
    seen = pairs.take(((pairs.base < cut) & (pairs.source < cut)).nonzero()[:, 0])
    apart = pairs.take(((pairs.base >= cut) & (pairs.source >= cut)).nonzero()[:, 0])
    optimiser = torch.optim.AdamW([theta, bias], lr=rate, weight_decay=decay)
    with torch.enable_grad():
        for _ in range(steps):
            loss = _losses(x, seen, theta, bias).sum()
            theta.grad, bias.grad = torch.autograd.grad(loss, [theta, bias])
            optimiser.step()
    with torch.no_grad():
        values = torch.arange(problem.n_values, device=x.device)
        which = _losses(x, seen, theta, bias).argmin(0)
        kept = _losses(x, apart, theta[which, values][None], bias[which, values][None])
    read = theta.detach()[which, values] / spread
    return float(kept.mean()), orthonormal(torch.nn.functional.normalize(read), problem.n_values - 1)


def _losses(x: Tensor, pairs: Pairs, theta: Tensor, bias: Tensor) -> Tensor:
    """Return (tries, n_values) mean losses of probes, each over the pairs of which one has its value."""
    values = torch.arange(theta.shape[1], device=pairs.base_labels.device)[:, None]
    asked = ((pairs.base_labels == values) != (pairs.source_labels == values)).to(x)
    p, q = ((theta @ x[side].T + bias).sigmoid() for side in (pairs.base, pairs.source))
    return (asked * consistency_loss(p, q)).sum(2) / asked.sum(1).clamp(min=1)


@technique(
    cites="Zou et al. 2023, Representation engineering (RepE), section 3.1: linear artificial tomography; "
    "scikit-learn PCA",
    cost="one SVD",
)
def representation_reading(problem: ConceptProblem, *, n_pairs: int = 512) -> Subspace:
    """Leading principal components of the differences between inputs of different values.

    The paper's pairs share all but the concept, and it keeps the first component. Ours are training inputs
    that differ otherwise too; there are as many components as values less one.

    Note:
        At the floor here: the paper's pairs differ in the concept alone, and pairs of whole inputs differ
        in much that varies more.

    Args:
        problem: the problem.
        n_pairs: pairs of inputs with different labels, in random order.
    """
    site = most_decodable(problem, NearestCentroid())
    x, pairs = problem.features(site).double().cpu(), problem.pairs(n_pairs)
    differences = (x[pairs.source] - x[pairs.base]).numpy()
    fitted = PCA(problem.n_values - 1, svd_solver="full").fit(differences)
    return Subspace(site=site, basis=orthonormal(torch.from_numpy(fitted.components_)))
