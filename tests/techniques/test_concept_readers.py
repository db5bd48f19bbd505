"""Readers of concepts: equal to scikit-learn where it fits them, to numbers by hand where we do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import LinearSVC

from interp_bench.techniques.concepts.contrast import (
    consistency_loss,
    contrast_consistent_search,
    representation_reading,
)
from interp_bench.techniques.concepts.discriminants import linear_svm, ridge_probe
from interp_bench.techniques.concepts.erasure import leace, nullspace_projection
from interp_bench.techniques.concepts.site_choice import scaled_features
from interp_bench.tracks.concepts import TRACK, ConceptProblem, Subspace
from tests.concept_toy import hard, toy

Find = Callable[[ConceptProblem], Subspace]
SUPERVISED = (ridge_probe, linear_svm, leace, nullspace_projection)
ALL = (*SUPERVISED, contrast_consistent_search, representation_reading)


@pytest.mark.parametrize("find", ALL)
def test_readers_answer_where_the_variable_is_read(find: Find) -> None:
    answer = find(hard()[0])
    assert answer.site == "after"
    assert not answer.basis.requires_grad


@pytest.mark.parametrize(
    ("find", "reference"),
    [
        (ridge_probe, RidgeClassifier(alpha=1.0)),
        (linear_svm, LinearSVC(C=0.4, max_iter=5000, tol=1e-3, random_state=7)),
    ],
)
def test_probes_span_what_scikit_learn_fits(find: Find, reference: Any) -> None:
    problem, _ = hard()
    x, y = scaled_features(problem, "after"), problem.labels.numpy()
    coefficients = reference.fit(x / x.std(0), y).coef_ / x.std(0)
    _, _, rows = np.linalg.svd(coefficients, full_matrices=False)
    found = find(problem).basis.double().numpy()
    np.testing.assert_allclose(found @ rows[:3].T @ rows[:3], found, atol=1e-5)


@pytest.mark.parametrize("find", [ridge_probe, linear_svm, contrast_consistent_search])
def test_readers_find_the_concept_and_not_its_companion(find: Find) -> None:
    problem, truth = hard()
    score = TRACK.score(problem, truth, find(problem))
    assert score["interchange_accuracy"] >= 0.9


@pytest.mark.parametrize("find", [ridge_probe, linear_svm])
def test_shuffled_labels_send_probes_to_the_floor(find: Find) -> None:
    problem, truth = hard()
    order = torch.randperm(len(problem.labels), generator=torch.Generator().manual_seed(0))
    shuffled = replace(problem, labels=problem.labels[order])
    assert TRACK.score(shuffled, truth, find(shuffled))["interchange_accuracy"] <= 0.2


def test_the_loss_of_contrast_pairs_by_hand() -> None:
    # (0.9, 0.1) is consistent and nearly sure: 0 + 0.01. (0.5, 0.5) is consistent and unsure: 0 + 0.25.
    # (0.8, 0.6) says both: (0.8 - 0.4)^2 + 0.36 = 0.52. (1, 0) is perfect.
    p, q = torch.tensor([0.9, 0.5, 0.8, 1.0]), torch.tensor([0.1, 0.5, 0.6, 0.0])
    torch.testing.assert_close(consistency_loss(p, q), torch.tensor([0.01, 0.25, 0.52, 0.0]))
    torch.testing.assert_close(consistency_loss(q, p), consistency_loss(p, q))


def test_contrast_consistent_search_is_not_told_which_of_a_pair_is_true() -> None:
    # Labels 0 and 1 swapped on all inputs: the same pairs, so the same answer.
    problem, _ = toy(n_values=2, width=12, noise=0.3, seed=5)
    swapped = replace(problem, labels=1 - problem.labels)
    plain, other = contrast_consistent_search(problem), contrast_consistent_search(swapped)
    assert plain.site == other.site
    torch.testing.assert_close(plain.basis, other.basis)


def test_representation_reading_is_scikit_learns_pca_of_differences() -> None:
    problem, _ = hard()
    x, pairs = problem.features("after").double(), problem.pairs(512)
    assert bool((pairs.base_labels != pairs.source_labels).all())
    reference = PCA(3, svd_solver="full").fit((x[pairs.source] - x[pairs.base]).numpy()).components_
    found = representation_reading(problem).basis.double().numpy()
    np.testing.assert_allclose(found @ reference.T @ reference, found, atol=1e-5)


def test_representation_reading_finds_a_concept_that_is_the_loudest_difference() -> None:
    # Without a second variable that differs as much, the leading difference is the concept.
    problem, truth = toy(n_values=2, width=8, noise=0.1, seed=2, correlation=1.0)
    carriers = truth.carriers["after"]
    wanted = torch.nn.functional.normalize(carriers[0] - carriers[1], dim=0)
    assert float((representation_reading(problem).basis[0] @ wanted).abs()) == pytest.approx(
        0.5**0.5, abs=0.02
    )


def test_contrast_consistent_search_is_not_fooled_by_a_wide_site_that_knows_nothing() -> None:
    # "before" says nothing at the position, but random numbers in 200 dimensions fit any 500 pairs.
    problem, _ = toy(n_values=2, width=12, noise=0.3, seed=5)
    noise = torch.randn(240, 200, generator=torch.Generator().manual_seed(0))

    class Noisy(ConceptProblem):
        def features(self, site: str) -> torch.Tensor:
            return noise if site == "before" else super().features(site)

    fields = {name: getattr(problem, name) for name in problem.__dataclass_fields__}
    assert contrast_consistent_search(Noisy(**fields)).site == "after"
