"""Linear classifiers: the subspace that a probe reads."""

from __future__ import annotations

import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from interp_bench.techniques.concepts.site_choice import most_decodable, scaled_features
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal


@technique(cites="Alain and Bengio 2016; scikit-learn LogisticRegression", cost="a few convex fits per site")
def logistic_probe(problem: ConceptProblem, *, c: float = 1.0) -> Subspace:
    """Row space of a multinomial logistic probe, at the site where such a probe generalises best."""
    probe = LogisticRegression(C=c, max_iter=2000, tol=1e-3)
    site = most_decodable(problem, probe)
    probe.fit(scaled_features(problem, site), problem.labels.cpu().numpy())
    return Subspace(site=site, basis=orthonormal(torch.from_numpy(probe.coef_), problem.n_values - 1))


@technique(cites="Fisher 1936, Ledoit and Wolf 2004; scikit-learn", cost="one generalised eigenproblem")
def lda(problem: ConceptProblem) -> Subspace:
    """Discriminant directions under a shrunk within-class covariance, where class means separate best."""
    site = most_decodable(problem, NearestCentroid())
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    fitted.fit(scaled_features(problem, site), problem.labels.cpu().numpy())
    directions = torch.from_numpy(fitted.scalings_[:, : problem.n_values - 1]).T
    return Subspace(site=site, basis=orthonormal(directions))
