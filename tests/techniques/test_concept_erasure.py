"""Concept erasure against its closed forms: LEACE by hand in two dimensions, INLP by what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from interp_bench.techniques.concepts.discriminants import lda
from interp_bench.techniques.concepts.erasure import fit_leace, fit_nullspace, leace, nullspace_projection
from interp_bench.techniques.concepts.site_choice import scaled_features
from interp_bench.tracks.concepts import TRACK
from tests.concept_toy import toy


def classes(n: int = 400, d: int = 6, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return correlated features (n, d) whose means differ by class, and one-hot labels (n, k)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 2 * rng.normal(size=(k, d))[labels]
    return x, np.eye(k)[labels]


def test_leace_in_two_dimensions_by_hand() -> None:
    # Four points at +-(2, 0) +- (1, 1), labels by the first part. Covariance [[5, 1], [1, 1]], and the class
    # means differ by (4, 0), so u = (1, 0) is removed along v = covariance^-1 u ~ (1, -1):
    # Q = u v' / (v'u) = [[1, -1], [0, 0]].
    x = np.array([[3.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-3.0, -1.0]])
    z = np.eye(2)[[0, 0, 1, 1]]
    eraser = fit_leace(x, z)
    np.testing.assert_allclose(eraser.left @ eraser.right, [[1, -1], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(eraser(x), [[1, 1], [-1, -1], [1, 1], [-1, -1]], atol=1e-12)


def test_leace_equals_its_closed_form_and_leaves_no_covariance_with_the_labels() -> None:
    x, z = classes()
    eraser = fit_leace(x, z)
    covariance, centred = np.cov(x.T, bias=True), x - x.mean(0)
    cross = centred.T @ (z - z.mean(0)) / len(x)
    # Theorem 4.3 without whitening: Q = C S^+ C' Sigma^-1 with S = C' Sigma^-1 C.
    inverse = np.linalg.inv(covariance)
    wanted = cross @ np.linalg.pinv(cross.T @ inverse @ cross) @ cross.T @ inverse
    found = eraser.left @ eraser.right
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    np.testing.assert_allclose(found @ found, found, atol=1e-10)
    assert len(eraser.right) == 2
    after = eraser(x)
    np.testing.assert_allclose(after.T @ (z - z.mean(0)) / len(x), 0, atol=1e-10)
    means = np.stack([after[column == 1].mean(0) for column in z.T])
    np.testing.assert_allclose(means, np.broadcast_to(x.mean(0), means.shape), atol=1e-10)


def test_what_leace_reads_is_constant_after_erasure_and_it_moves_least() -> None:
    x, z = classes(seed=1)
    eraser = fit_leace(x, z)
    read = eraser(x) @ eraser.right.T
    np.testing.assert_allclose(read, np.broadcast_to(read[0], read.shape), atol=1e-9)
    # Erasing the same by an orthogonal projection moves the inputs further, in the whitened norm.
    inverse = np.linalg.inv(np.cov(x.T, bias=True))

    def moved(change: np.ndarray) -> float:
        return float(np.einsum("ni,ij,nj->", change, inverse, change))

    orthogonal = -(x - x.mean(0)) @ eraser.right.T @ np.linalg.pinv(eraser.right.T)
    assert 0 < moved(eraser(x) - x) < moved(orthogonal)


def test_leace_without_shrinkage_spans_what_discriminant_analysis_spans() -> None:
    problem, truth = toy(n_values=4, width=24, noise=0.3, seed=7, correlation=0.5)
    exact, shrunk = leace(problem, shrinkage=False), leace(problem)
    cosines = torch.linalg.svdvals(exact.basis @ lda(problem).basis.T)
    assert exact.basis.shape == (3, 24)
    assert float(cosines[-1]) > 0.95
    assert TRACK.score(problem, truth, shrunk)["interchange_accuracy"] > 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_after_nullspace_projection_a_probe_is_at_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=600)
    x = rng.normal(size=(600, 12)) + 2 * rng.normal(size=(3, 12))[labels]
    rows = fit_nullspace(x, labels, rounds=10, c=0.4, seed=0).double().numpy()
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-5)
    left = x - x @ rows.T @ rows
    probe = LogisticRegression(max_iter=1000)
    assert cross_val_score(probe, x, labels).mean() > 0.6
    assert cross_val_score(probe, left, labels).mean() < 0.45
    assert len(rows) < 12


def test_nullspace_projection_takes_all_that_reads_the_variable() -> None:
    problem, truth = toy(n_values=2, width=16, noise=0.5, seed=3)
    answer = nullspace_projection(problem)
    TRACK.check(problem, answer)
    x = scaled_features(problem, answer.site)
    basis = answer.basis.double().numpy()
    probe = LogisticRegression(max_iter=1000)
    assert cross_val_score(probe, x - x @ basis.T @ basis, problem.labels.numpy()).mean() < 0.6
    assert TRACK.score(problem, truth, answer)["cause"] > 0.9
