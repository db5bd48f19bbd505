"""A dictionary learned by orthogonal matching pursuit and K-SVD."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.features.autoencoder import standardised
from interp_bench.techniques.features.topk_autoencoder import active_latents
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem

_RIDGE = 1e-6
"""Keeps the least squares solvable where two atoms are all but equal."""

_AT_ONCE = 2**22
"""Most numbers of a block of the Gram matrix that are gathered at once."""


def pursue_orthogonally(x: Tensor, atoms: Tensor, k: int) -> Tensor:
    """Return codes (n, n_atoms) by orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993).

    In each of k steps the atom with the largest absolute product with the residual joins, and all codes
    so far are fitted anew by least squares. scikit-learn's ``orthogonal_mp`` does the same one sample
    after the other; this does it for all at once, from the Gram matrix (Rubinstein et al. 2008).

    Args:
        x: (n, d).
        atoms: (n_atoms, d) of unit norm.
        k: active atoms per sample, at most the width.
    """
    gram = atoms @ atoms.T
    size = max(1, _AT_ONCE // (k * len(atoms)))
    return torch.cat([_pursue(part @ atoms.T, gram, k) for part in x.split(size)])


def _pursue(first: Tensor, gram: Tensor, k: int) -> Tensor:
    chosen = torch.empty(len(first), 0, dtype=torch.long, device=first.device)
    products, weights = first, first[:, :0]
    for step in range(1, k + 1):
        open_ = products.abs().scatter(1, chosen, -1.0)
        chosen = torch.cat([chosen, open_.argmax(dim=1, keepdim=True)], dim=1)
        among = gram[chosen[:, :, None], chosen[:, None, :]] + _RIDGE * torch.eye(step).to(gram)
        weights = torch.linalg.solve(among, first.gather(1, chosen))
        products = first - torch.einsum("bs,bsn->bn", weights, gram[chosen])
    return torch.zeros_like(first).scatter(1, chosen, weights)


def update_atoms(x: Tensor, atoms: Tensor, codes: Tensor) -> None:
    """Update each atom and its codes in turn, in place (Aharon, Elad and Bruckstein 2006, section IV).

    An atom becomes the first singular vector of what its samples lack without it, found by one step of
    the power iteration as in Rubinstein et al. 2008. One that no sample uses becomes the sample that is
    explained worst.

    Args:
        x: (n, d).
        atoms: (n_atoms, d) of unit norm.
        codes: (n, n_atoms).
    """
    residual = x - codes @ atoms
    for j in range(len(atoms)):
        users = codes[:, j].nonzero().flatten()
        if not len(users):
            worst = residual.square().sum(dim=1).argmax()
            atoms[j] = functional.normalize(x[worst], dim=0)
            residual[worst] = 0  # so that the next atom without samples becomes another one
            continue
        lacking = torch.addr(residual[users], codes[users, j], atoms[j])
        atoms[j] = functional.normalize(codes[users, j] @ lacking, dim=0)
        codes[users, j] = lacking @ atoms[j]
        residual[users] = torch.addr(lacking, codes[users, j], atoms[j], alpha=-1)


@technique(
    cites="Aharon, Elad and Bruckstein 2006, K-SVD; Pati, Rezaiifar and Krishnaprasad 1993, Orthogonal "
    "matching pursuit",
    cost="20 rounds of coding all samples and updating all atoms",
    quick=Needs(max_params=100_000),
)
def orthogonal_matching_pursuit(
    problem: FeatureProblem, *, density: float = 0.06, expansion: float = 2.0, iterations: int = 20
) -> Dictionary:
    """Dictionary in which orthogonal matching pursuit codes every sample by few atoms, learned by K-SVD.

    An atom and its codes may both change sign; signs are chosen so that codes are skewed to the positive.

    Args:
        problem: the problem.
        density: active atoms per planted feature; their number is this times ``n_features``, at least 2.
        expansion: atoms per planted feature.
        iterations: rounds of coding and updating.
    """
    x = standardised(problem.activations())
    n = max(1, min(round(expansion * problem.n_features), problem.max_directions))
    k = min(active_latents(density, problem.n_features), n, problem.d_site)
    chosen = torch.randperm(len(x), generator=problem.generator())[torch.arange(n) % len(x)]
    atoms = functional.normalize(x[chosen.to(x.device)], dim=1)
    for _ in range(iterations):
        update_atoms(x, atoms, pursue_orthogonally(x, atoms, k))
    codes = pursue_orthogonally(x, atoms, k)
    sign = torch.where((codes**3).sum(dim=0) < 0, -1.0, 1.0)
    return Dictionary(directions=atoms * sign[:, None], codes=codes * sign)
