"""Non-negative matrix factorisation."""

from __future__ import annotations

import warnings

import torch
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(
    cites="Lee and Seung 1999; scikit-learn NMF",
    cost="up to 40 coordinate-descent sweeps",
    quick=Needs(max_params=1_000_000),
)
def nmf(problem: FeatureProblem, *, iterations: int = 40) -> Dictionary:
    """Non-negative factors of the centred activations, split into positive and negative parts.

    Each sample becomes ``[relu(x), relu(-x)]`` of twice the width; a factor's direction is its
    first half less its second.

    Note:
        At the floor here (skill 0.01); planted features have directions of either sign, and parts that add
        up do not.

    Args:
        problem: the problem.
        iterations: most sweeps; factors are used even where they still move.
    """
    x = problem.activations().cpu()
    x = x - x.mean(0)
    parts = torch.cat([x.clamp(min=0), (-x).clamp(min=0)], dim=1).numpy()
    model = NMF(
        n_components=min(problem.n_features, *parts.shape),  # the initial SVD has no more
        init="nndsvda",
        max_iter=iterations,
        random_state=problem.seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        codes = torch.as_tensor(model.fit_transform(parts))
    factors = torch.as_tensor(model.components_)
    return Dictionary(directions=factors[:, : x.shape[1]] - factors[:, x.shape[1] :], codes=codes)
