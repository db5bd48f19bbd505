"""Directions from class means, and from the principal components that the classes explain best."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from interp_bench.techniques.concepts.site_choice import most_decodable, scaled_features
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.concepts import ConceptProblem, Subspace, orthonormal


def centred_means(features: Tensor, labels: Tensor, n_values: int) -> Tensor:
    """Return (n_values, width) class means less their own mean."""
    means = torch.stack([features[labels == value].mean(0) for value in range(n_values)])
    return means - means.mean(0)


@technique(cites="Marks and Tegmark 2023 (difference in means), Belrose 2023", cost="eigenvectors of means")
def mean_difference(problem: ConceptProblem) -> Subspace:
    """Span of the differences of class means, where they separate best."""
    site = most_decodable(problem, NearestCentroid())
    means = centred_means(problem.features(site), problem.labels, problem.n_values)
    return Subspace(site=site, basis=orthonormal(means, problem.n_values - 1))


@technique(cites="Jolliffe 2002; the PCA control of Huang et al. 2024 (RAVEL)", cost="one SVD")
def pca(problem: ConceptProblem, *, n_components: int = 32) -> Subspace:
    """Of the leading principal components, those whose scores depend most on the label (F test).

    Args:
        problem: the problem.
        n_components: how many of them are looked at.
    """
    site = most_decodable(problem, NearestCentroid())
    x = scaled_features(problem, site)
    fitted = PCA(min(n_components, *x.shape), svd_solver="full").fit(x)
    strength, _ = f_classif(fitted.transform(x), problem.labels.cpu().numpy())
    chosen = np.argsort(-np.nan_to_num(strength), kind="stable")[: problem.n_values]
    return Subspace(site=site, basis=orthonormal(torch.from_numpy(fitted.components_[chosen])))
