"""Dictionary learning under an L1 penalty."""

from __future__ import annotations

import warnings

import torch
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.exceptions import ConvergenceWarning

from interp_bench.techniques.features.autoencoder import standardised
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.features import Dictionary, FeatureProblem


@technique(
    cites="Mairal et al. 2009, Online dictionary learning for sparse coding; scikit-learn "
    "MiniBatchDictionaryLearning",
    cost="a few passes of coordinate descent over the activations",
    quick=Needs(max_params=100_000),
)
def dictionary_learning(
    problem: FeatureProblem, *, sparsity: float = 0.3, iterations: int = 2, batch: int = 256
) -> Dictionary:
    """Dictionary and non-negative codes that minimise half the squared error plus an L1 penalty on codes.

    Args:
        problem: the problem.
        sparsity: penalty per unit of code, times the square root of the width.
        iterations: passes over the samples.
        batch: samples between updates of the dictionary.
    """
    x = standardised(problem.activations()).cpu().numpy()
    model = MiniBatchDictionaryLearning(
        n_components=min(problem.max_directions, len(x)),
        alpha=sparsity * problem.d_site**0.5,
        max_iter=iterations,
        batch_size=batch,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        positive_code=True,
        random_state=problem.seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        codes = torch.as_tensor(model.fit_transform(x)).float()
    return Dictionary(directions=torch.as_tensor(model.components_).float(), codes=codes)
