"""Principal component analysis."""

from __future__ import annotations

import torch
from sklearn.decomposition import PCA

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(cites="Jolliffe 2002, Principal component analysis; scikit-learn PCA", cost="one SVD")
def pca(problem: FeatureProblem) -> Dictionary:
    """Principal components of the activations, all that an answer may hold."""
    x = problem.activations().cpu().double().numpy()
    fitted = PCA(n_components=min(problem.max_directions, *x.shape), svd_solver="covariance_eigh").fit(x)
    return Dictionary(
        directions=torch.as_tensor(fitted.components_).float(),
        codes=torch.as_tensor(fitted.transform(x)).float(),
    )
