"""Linear classifiers: the subspace that a probe reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor

from interp_bench.techniques.concepts.site_choice import most_decodable, scaled_features
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal


def probe_directions(problem: ConceptProblem, site: str, c: float = 0.1) -> Tensor:
    """Return (n_values - 1, width) orthonormal rows that a logistic probe at a site reads."""
    return _read_by(LogisticRegression(C=c, max_iter=2000, tol=1e-3), problem, site)


def _read_by(classifier: Any, problem: ConceptProblem, site: str) -> Tensor:
    """Return (n_values - 1, width) orthonormal rows: the row space of a linear classifier at a site.

    It is fitted on standardised features, and its coefficients are taken back to the scale of the
    activations.
    """
    x = scaled_features(problem, site)
    spread = x.std(0)
    spread = np.where(spread > 1e-9, spread, np.inf)
    classifier.fit(x / spread, problem.labels.cpu().numpy())
    return orthonormal(torch.from_numpy(np.atleast_2d(classifier.coef_) / spread), problem.n_values - 1)


@technique(cites="Alain and Bengio 2016; scikit-learn LogisticRegression", cost="a few convex fits per site")
def logistic_probe(problem: ConceptProblem, *, c: float = 0.1) -> Subspace:
    """Row space of a multinomial logistic probe, at the site where such a probe generalises best.

    Args:
        problem: the problem.
        c: inverse strength of the L2 penalty, for features of variance 1.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000, tol=1e-3))
    site = most_decodable(problem, probe)
    return Subspace(site=site, basis=probe_directions(problem, site, c))


@technique(cites="Hoerl and Kennard 1970; scikit-learn RidgeClassifier", cost="a linear system per site")
def ridge_probe(problem: ConceptProblem, *, alpha: float = 1.0) -> Subspace:
    """Row space of a ridge regression on the labels, at the site where it classifies best.

    Args:
        problem: the problem.
        alpha: the penalty, scikit-learn's default, on standardised features.
    """
    probe = RidgeClassifier(alpha=alpha)
    site = most_decodable(problem, make_pipeline(StandardScaler(), probe))
    return Subspace(site=site, basis=_read_by(probe, problem, site))


@technique(
    cites="Kim et al. 2018, Testing with concept activation vectors (TCAV), section 3.2; "
    "scikit-learn LinearSVC",
    cost="a few convex fits per site",
)
def linear_svm(problem: ConceptProblem, *, c: float = 0.4) -> Subspace:
    """Concept activation vectors: normals of linear SVMs, each of one value against all others.

    Args:
        problem: the problem.
        c: inverse penalty. TCAV's published code has a penalty of 0.01 a sample, which is 1 / (0.01 n): 0.4
            at our 256 inputs.
    """
    svm = LinearSVC(C=c, max_iter=5000, tol=1e-3, random_state=problem.seed)
    site = most_decodable(problem, make_pipeline(StandardScaler(), svm))
    return Subspace(site=site, basis=_read_by(svm, problem, site))


@technique(cites="Fisher 1936, Ledoit and Wolf 2004; scikit-learn", cost="a linear system per site")
def lda(problem: ConceptProblem) -> Subspace:
    """Discriminant directions under a shrunk within-class covariance, where they classify best."""
    site = most_decodable(problem, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    fitted.fit(scaled_features(problem, site), problem.labels.cpu().numpy())
    directions = torch.from_numpy(fitted.scalings_[:, : problem.n_values - 1]).T
    return Subspace(site=site, basis=orthonormal(directions))
