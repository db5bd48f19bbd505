"""Cluster centres as features."""

from __future__ import annotations

import torch
from sklearn.cluster import MiniBatchKMeans
from torch.nn import functional

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(
    cites="Coates and Ng 2012, Learning feature representations with k-means; scikit-learn MiniBatchKMeans",
    cost="a few passes over the activations",
)
def k_means(problem: FeatureProblem) -> Dictionary:
    """Centres of clusters of the centred activations; a feature fires in the samples of its cluster."""
    x = problem.activations().cpu()
    x = x - x.mean(0)
    n = min(problem.max_directions, problem.n_samples)
    fitted = MiniBatchKMeans(n_clusters=n, n_init=1, random_state=problem.seed % 2**32).fit(x.numpy())
    codes = functional.one_hot(torch.as_tensor(fitted.labels_).long(), n).float()
    return Dictionary(directions=torch.as_tensor(fitted.cluster_centers_).float(), codes=codes)
