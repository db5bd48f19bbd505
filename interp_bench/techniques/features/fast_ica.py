"""Independent component analysis."""

from __future__ import annotations

import warnings

import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(cites="Hyvärinen and Oja 2000; scikit-learn FastICA", cost="up to 100 fixed-point iterations")
def fast_ica(problem: FeatureProblem, *, iterations: int = 100, tolerance: float = 1e-3) -> Dictionary:
    """Independent components of the leading principal components, one per planted feature at most.

    The direction of a component is its column of the mixing matrix: what the site gains when the
    component rises. Signs are chosen so that a component is skewed to the positive.

    Args:
        problem: the problem.
        iterations: most fixed-point iterations; components are used even where they still move.
        tolerance: change of the unmixing matrix below which iteration stops.
    """
    x = problem.activations().cpu().numpy()
    ica = FastICA(
        n_components=min(problem.n_features, *x.shape),
        whiten="unit-variance",
        whiten_solver="eigh" if x.shape[0] > x.shape[1] else "svd",
        max_iter=iterations,
        tol=tolerance,
        random_state=problem.seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        sources = torch.as_tensor(ica.fit_transform(x))
    sign = (sources**3).mean(0).sign()
    return Dictionary(directions=torch.as_tensor(ica.mixing_).T * sign[:, None], codes=sources * sign)
