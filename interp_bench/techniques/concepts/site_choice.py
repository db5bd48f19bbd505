"""Choose a site by how well the labels can be read there, on the training data only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from interp_bench.tracks.concepts import ConceptProblem

Array = npt.NDArray[np.float64]
_CONSTANT = 1e-6


def varying_sites(problem: ConceptProblem) -> list[str]:
    """Return the sites at which the inputs differ at all."""
    return [site for site in problem.sites if bool((scaled_features(problem, site).std(0) > _CONSTANT).any())]


def scaled_features(problem: ConceptProblem, site: str) -> Array:
    """Return centred features (n, width), divided by one number so that their mean variance is 1.

    One number for all directions adds no dependence on the basis of the residual stream.
    """
    x = problem.features(site).double().cpu().numpy()
    centred: Array = x - x.mean(0)
    return centred / max(float(np.sqrt(np.square(centred).mean())), 1e-12)


def most_decodable(problem: ConceptProblem, classifier: Any, *, folds: int = 3) -> str:
    """Return the site where a classifier reads the labels best, by cross-validated accuracy.

    Accuracies that differ by less than one input in a hundred are ties, and the earliest site wins
    a tie: a variable stays readable long after it was used.

    Args:
        problem: the problem.
        classifier: an unfitted scikit-learn classifier.
        folds: folds of the stratified cross-validation.
    """
    labels = problem.labels.cpu().numpy()
    splits = StratifiedKFold(folds, shuffle=True, random_state=problem.seed)
    found = []
    for site in problem.sites:
        x = scaled_features(problem, site)
        varying = x[:, x.std(0) > _CONSTANT]
        if varying.shape[1] == 0:
            found.append(0.0)
            continue
        with warnings.catch_warnings():
            # A ReLU channel that is silent in one fold; no classifier here divides by its spread.
            warnings.filterwarnings("ignore", "self.within_class_std_dev_", UserWarning)
            found.append(cross_val_score(clone(classifier), varying, labels, cv=splits).mean())
    return earliest(problem.sites, found)


def earliest(sites: Sequence[str], scores: Sequence[float]) -> str:
    """Return the first of the sites whose score is within a hundredth of the best."""
    found = np.array(scores)
    return sites[int(np.argmax(found >= found.max() - 0.01))]
