"""Concept erasure: the subspace that has to go before no linear classifier reads the variable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

from interp_bench.techniques.concepts.site_choice import most_decodable, scaled_features
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal

Array = npt.NDArray[np.float64]
_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """The affine map ``x -> x - Q (x - mean)`` with the oblique projection ``Q = left @ right``.

    Attributes:
        left: (d, r), whose columns span what is changed: the differences of class means.
        right: (r, d), whose rows read what is erased: afterwards they read a constant.
        mean: (d,).
    """

    left: Array
    right: Array
    mean: Array

    def __call__(self, x: Array) -> Array:
        """Return ``x`` (n, d) with the concept erased."""
        erased: Array = x - (x - self.mean) @ self.right.T @ self.left.T
        return erased


def fit_leace(x: Array, z: Array, *, shrinkage: bool = False) -> Eraser:
    """Return the least-squares eraser, Belrose et al. 2023, theorem 4.3: ``Q = W^+ P W``.

    ``W`` is the inverse square root of the covariance of ``x``, and ``P`` the orthogonal projection on the
    columns of ``W`` times the cross-covariance of ``x`` and ``z``.

    Args:
        x: (n, d) features.
        z: (n, k) one-hot labels.
        shrinkage: estimate the covariance with Ledoit and Wolf's shrinkage, for few samples in many
            dimensions; erasure is then no longer exact on the samples themselves.
    """
    mean = x.mean(0)
    centred = x - mean
    cross = centred.T @ (z - z.mean(0)) / len(x)
    covariance = LedoitWolf(assume_centered=True).fit(centred).covariance_ if shrinkage else None
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x) if covariance is None else covariance)
    kept = values > _NEGLIGIBLE * values[-1]
    root, vectors = np.sqrt(values[kept]), vectors[:, kept]
    whitened = (vectors / root) @ vectors.T @ cross
    u, strength, _ = np.linalg.svd(whitened, full_matrices=False)
    u = u[:, strength > 1e-6 * max(strength[0], 1e-300)]
    return Eraser(
        left=(vectors * root) @ (vectors.T @ u), right=((vectors / root) @ (vectors.T @ u)).T, mean=mean
    )


@technique(
    cites="Belrose et al. 2023, LEACE: perfect linear concept erasure in closed form, theorem 4.3",
    cost="an eigendecomposition",
)
def leace(problem: ConceptProblem, *, shrinkage: bool = True) -> Subspace:
    """The subspace that least-squares concept erasure empties, where discriminant analysis reads best.

    These are the rows of the oblique projection: after erasure they read the same of every input. It has
    one dimension less than there are values.

    Args:
        problem: the problem.
        shrinkage: shrink the covariance, as the authors' code does (with another estimator).
    """
    site = most_decodable(problem, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    labels = problem.labels.cpu().numpy()
    eraser = fit_leace(scaled_features(problem, site), np.eye(problem.n_values)[labels], shrinkage=shrinkage)
    return Subspace(site=site, basis=orthonormal(torch.from_numpy(eraser.right), problem.n_values - 1))


def fit_nullspace(
    x: Array, labels: npt.NDArray[np.int64], *, rounds: int, c: float, seed: int
) -> torch.Tensor:
    """Return (k, d) orthonormal rows whose removal leaves linear classifiers at chance, or after all rounds.

    Ravfogel et al. 2020, algorithm 1: fit a classifier, project its row space away, repeat. It ends when
    accuracy on a third of the inputs, kept apart, is within a standard error of the largest class.

    Args:
        x: (n, d) features.
        labels: (n,) values.
        rounds: most classifiers.
        c: inverse penalty of the SVMs.
        seed: of the split and of the solver.
    """
    fit, apart = train_test_split(np.arange(len(x)), test_size=1 / 3, stratify=labels, random_state=seed)
    chance = float(np.bincount(labels[apart]).max()) / len(apart)
    enough = chance + float(np.sqrt(chance * (1 - chance) / len(apart)))
    rows, left = torch.zeros(0, x.shape[1]), x
    for _ in range(rounds):
        svm = LinearSVC(C=c, max_iter=5000, tol=1e-3, random_state=seed).fit(left[fit], labels[fit])
        if len(rows) and svm.score(left[apart], labels[apart]) <= enough:
            break
        rows = orthonormal(torch.cat([rows, torch.from_numpy(svm.coef_).float()]))
        if len(rows) == x.shape[1]:
            break
        basis = rows.double().numpy()
        left = x - x @ basis.T @ basis
    return rows


@technique(
    cites="Ravfogel et al. 2020, Null it out: guarding protected attributes by iterative nullspace "
    "projection (INLP), algorithm 1; scikit-learn LinearSVC",
    cost="up to ten convex fits, and a few per site",
    quick=Needs(max_params=1_000_000),
)
def nullspace_projection(problem: ConceptProblem, *, rounds: int = 10, c: float = 0.4) -> Subspace:
    """All that linear SVMs read of the variable, one after the other, until none reads it any longer.

    The paper fits up to a few hundred classifiers in 300 and 768 dimensions; ten empty the widths of our
    small models.

    Args:
        problem: the problem.
        rounds: most classifiers.
        c: inverse penalty of the SVMs.
    """
    site = most_decodable(problem, LinearSVC(C=c, max_iter=5000, tol=1e-3, random_state=problem.seed))
    labels = problem.labels.cpu().numpy()
    rows = fit_nullspace(scaled_features(problem, site), labels, rounds=rounds, c=c, seed=problem.seed)
    return Subspace(site=site, basis=rows)
