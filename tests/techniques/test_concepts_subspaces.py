"""Techniques of the concepts track on a network whose concept is known: references and invariants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from interp_bench.techniques.concepts.active_subspace import active_subspace
from interp_bench.techniques.concepts.alignment import das
from interp_bench.techniques.concepts.discriminants import lda, logistic_probe, probe_directions
from interp_bench.techniques.concepts.effects import first_order_gain, measure_effects
from interp_bench.techniques.concepts.guess import random
from interp_bench.techniques.concepts.means import mean_difference, pca
from interp_bench.techniques.concepts.site_choice import most_decodable, scaled_features
from interp_bench.techniques.concepts.whole import full_vector
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.concepts import TRACK, ConceptProblem, Subspace
from tests.concept_toy import hard, toy

Find = Callable[[ConceptProblem], Subspace]
READERS = (mean_difference, logistic_probe, lda)
ALL = (random, full_vector, pca, *READERS, active_subspace, das)


def cosines(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the cosines of the principal angles, the smallest last."""
    return torch.linalg.svdvals(one.double() @ other.double().T)


def differences(carriers: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of the differences between carriers."""
    return torch.linalg.qr((carriers[1:] - carriers[:1]).T).Q.T


def test_every_technique_is_registered_once_with_one_floor() -> None:
    names = {t.name for t in CATALOGUE.techniques.values() if t.track is TRACK}
    assert {find.__name__ for find in ALL} <= names
    assert CATALOGUE.floor_of("concepts").name == "random"


def test_mean_difference_by_hand() -> None:
    # Without noise or correlation the class means differ by e0 - e1 but for the luck of the draw of w.
    problem, _ = toy(n_values=2)
    values = torch.eye(8)[:4]
    features = problem.features("after")
    means = [features[problem.labels == value].mean(0) for value in (0, 1)]
    wanted = (means[0] - means[1]) / (means[0] - means[1]).norm()
    answer = mean_difference(problem)
    assert answer.site == "after"
    assert answer.basis.shape == (1, 8)
    assert float((answer.basis[0] @ wanted).abs()) == pytest.approx(1, abs=1e-5)
    assert float((answer.basis[0] @ (values[0] - values[1]) / 2**0.5).abs()) > 0.95


def test_correlation_tilts_the_mean_difference_by_the_angle_it_must() -> None:
    # P(w = v) = 0.5 + 0.5 * 0.6 = 0.8, so the means differ by (e0 - e1) + 0.6 (e2 - e3).
    problem, _ = toy(n_values=2, correlation=0.6)
    basis = mean_difference(problem).basis
    tilt = float((basis[0, 2] - basis[0, 3]) / (basis[0, 0] - basis[0, 1]))
    tied = problem.features("after")[:, 2:4].argmax(1) == problem.labels
    assert tilt == pytest.approx(2 * float(tied.double().mean()) - 1, abs=0.02)
    assert tilt == pytest.approx(0.6, abs=0.1)


def test_lda_spans_what_scikit_learn_finds() -> None:
    problem, _ = hard()
    x, y = problem.features("after").double().numpy(), problem.labels.numpy()
    reference = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(x, y).scalings_[:, :3].T
    wanted = torch.linalg.qr(torch.from_numpy(reference).T).Q.T
    assert float(cosines(lda(problem).basis, wanted)[-1]) == pytest.approx(1, abs=1e-5)


def test_probe_directions_span_scikit_learns_coefficients() -> None:
    problem, _ = hard()
    x, y = scaled_features(problem, "after"), problem.labels.numpy()
    spread = x.std(0)
    coefficients = LogisticRegression(C=0.1, max_iter=2000, tol=1e-3).fit(x / spread, y).coef_ / spread
    inside = probe_directions(problem, "after")
    wanted = torch.from_numpy(coefficients)
    torch.testing.assert_close(wanted @ inside.double().T @ inside.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("find", [mean_difference, pca, active_subspace, full_vector])
def test_a_rotated_network_gets_a_rotated_answer(find: Find) -> None:
    problem, _ = toy(n_values=3, width=12, noise=0.4, seed=2)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(1))).Q
    plain = find(problem)
    module = problem.model.module
    module.embedding.weight.data = module.embedding.weight.data @ turn
    module.carriers = module.carriers @ turn
    turned = find(replace(problem, _recall=None))
    assert turned.site == plain.site
    assert float(cosines(turned.basis, plain.basis @ turn)[-1]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("find", READERS)
def test_shuffled_labels_send_readers_to_the_floor(find: Find) -> None:
    problem, truth = hard()
    order = torch.randperm(len(problem.labels), generator=torch.Generator().manual_seed(0))
    shuffled = replace(problem, labels=problem.labels[order])
    right = TRACK.score(problem, truth, find(problem))["interchange_accuracy"]
    floor = TRACK.score(shuffled, truth, find(shuffled))["interchange_accuracy"]
    assert floor <= 0.2
    assert right >= floor + 0.2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_das_finds_a_known_rotation(seed: int) -> None:
    problem, truth = toy(n_values=4, width=24, noise=0.1, seed=seed)
    answer = das(problem, steps=200, learning_rate=0.1)
    assert answer.site == "after"
    assert float(cosines(answer.basis, differences(truth.carriers["after"]))[-1]) >= 0.98
    assert TRACK.score(problem, truth, answer)["interchange_accuracy"] == 1


def test_das_is_never_far_below_the_probe_that_it_starts_from() -> None:
    problem, truth = hard()
    start = TRACK.score(problem, truth, logistic_probe(problem))["interchange_accuracy"]
    assert TRACK.score(problem, truth, das(problem))["interchange_accuracy"] >= start - 0.02


def test_the_active_subspace_of_a_linear_network_is_exact() -> None:
    problem, truth = hard()
    answer = active_subspace(problem)
    assert answer.site == "after"
    found = cosines(answer.basis, differences(truth.carriers["after"]))
    assert float(found[-1]) == pytest.approx(1, abs=1e-5)


def test_first_order_gain_is_exact_in_a_linear_network() -> None:
    # Each difference of one-hot values has squared length 2, and so does the rise of source over base.
    problem, truth = toy(n_values=3, width=12, noise=0.5, seed=4)
    effects = measure_effects(problem, 16)
    pairs = problem.pairs(20, n_inputs=16)
    carriers = truth.carriers["after"]
    assert first_order_gain(effects, pairs, "after", carriers) == pytest.approx(2, abs=1e-5)
    assert first_order_gain(effects, pairs, "before", carriers) == pytest.approx(0, abs=1e-5)


def test_the_earliest_of_equally_readable_sites_is_chosen() -> None:
    problem, _ = toy(n_values=2)
    assert most_decodable(problem, NearestCentroid()) == "after"
    both = replace(problem, sites=("after", "before", "embedding"), _recall=None)
    assert most_decodable(both, NearestCentroid()) == "after"


def test_scaled_features_are_centred_with_one_scale() -> None:
    x = scaled_features(hard()[0], "after")
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
    assert float(np.square(x).mean()) == pytest.approx(1)
