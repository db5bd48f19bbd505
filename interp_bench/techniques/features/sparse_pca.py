"""Sparse principal component analysis."""

from __future__ import annotations

import warnings

import torch
from sklearn.decomposition import MiniBatchSparsePCA
from sklearn.exceptions import ConvergenceWarning

from interp_bench.techniques.features.autoencoder import standardised
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(
    cites="Zou, Hastie and Tibshirani 2006, Sparse principal component analysis; Mairal et al. 2009; "
    "scikit-learn MiniBatchSparsePCA",
    cost="a few passes of coordinate descent over the coordinates",
    quick=Needs(max_params=100_000),
)
def sparse_pca(
    problem: FeatureProblem, *, sparsity: float = 1.0, iterations: int = 20, batch: int = 8
) -> Dictionary:
    """Principal components of which most coordinates are zero.

    Planted directions are dense in the coordinates of the site, so that its prior is wrong for them.

    Note:
        At the floor here: planted directions are dense in the coordinates of the site, and its prior is
        sparse.

    Args:
        problem: the problem.
        sparsity: penalty per unit of a component's coordinate.
        iterations: updates, each from a batch of coordinates.
        batch: coordinates an update.
    """
    x = standardised(problem.activations()).cpu().numpy()
    model = MiniBatchSparsePCA(
        n_components=min(problem.n_features, *x.shape),
        alpha=sparsity,
        max_iter=iterations,
        batch_size=batch,
        method="cd",
        random_state=problem.seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        codes = torch.as_tensor(model.fit_transform(x)).float()
    return Dictionary(directions=torch.as_tensor(model.components_).float(), codes=codes)
