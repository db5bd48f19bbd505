"""Feature techniques: equal to their references, and right on data whose dictionary is known."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, FastICA, MiniBatchDictionaryLearning, MiniBatchSparsePCA
from sklearn.linear_model import orthogonal_mp
from torch import Tensor

import interp_bench.techniques.features as package
from interp_bench.techniques.features.archetypal_autoencoder import archetypal_autoencoder
from interp_bench.techniques.features.autoencoder import standardised
from interp_bench.techniques.features.batch_topk_autoencoder import batch_topk_autoencoder
from interp_bench.techniques.features.dictionary_learning import dictionary_learning
from interp_bench.techniques.features.fast_ica import fast_ica
from interp_bench.techniques.features.gated_autoencoder import gated_autoencoder
from interp_bench.techniques.features.guess import random
from interp_bench.techniques.features.jumprelu_autoencoder import jumprelu_autoencoder
from interp_bench.techniques.features.k_means import k_means
from interp_bench.techniques.features.l1_autoencoder import l1_autoencoder
from interp_bench.techniques.features.matching_pursuit_autoencoder import matching_pursuit_autoencoder
from interp_bench.techniques.features.matryoshka_autoencoder import matryoshka_autoencoder
from interp_bench.techniques.features.neurons import neurons
from interp_bench.techniques.features.nmf import nmf
from interp_bench.techniques.features.orthogonal_matching_pursuit import (
    orthogonal_matching_pursuit,
    pursue_orthogonally,
    update_atoms,
)
from interp_bench.techniques.features.pca import pca
from interp_bench.techniques.features.sparse_pca import sparse_pca
from interp_bench.techniques.features.topk_autoencoder import topk_autoencoder
from interp_bench.techniques.features.transcoder import transcoder
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.features import TRACK, Dictionary, FeatureProblem, FeatureTruth

AUTOENCODERS: list[Callable[..., Dictionary]] = [
    l1_autoencoder, topk_autoencoder, batch_topk_autoencoder, matryoshka_autoencoder, jumprelu_autoencoder,
    gated_autoencoder, matching_pursuit_autoencoder, archetypal_autoencoder,
]  # fmt: skip
TECHNIQUES: list[Callable[..., Dictionary]] = [
    random, neurons, pca, fast_ica, nmf, k_means, sparse_pca, dictionary_learning,
    orthogonal_matching_pursuit, *AUTOENCODERS,
]  # fmt: skip


def posed(samples: Tensor, n_features: int, seed: int = 5) -> FeatureProblem:
    return FeatureProblem(
        model=cast(Any, None),
        seed=seed,
        site="site",
        inputs=torch.zeros(len(samples), 1, dtype=torch.long),
        rows=torch.arange(len(samples)),
        n_features=n_features,
        _recorded=samples,
    )


def sparse(
    n: int = 24, d: int = 16, samples: int = 2000, rate: float = 0.05
) -> tuple[FeatureProblem, FeatureTruth]:
    """Return samples that are sparse sums of random directions plus a little noise."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(n, d, generator=generator), dim=1)
    fires = torch.rand(samples, n, generator=generator) < rate
    codes = fires * (0.5 + torch.rand(samples, n, generator=generator))
    noise = 0.05 * torch.randn(samples, d, generator=generator)
    return posed(codes @ directions + noise + 3, n), FeatureTruth(directions=directions, codes=codes)


def recovered(technique: Callable[..., Dictionary], **arguments: Any) -> float:
    problem, truth = sparse()
    return TRACK.score(problem, truth, technique(problem, **arguments))["mcc"]


def quickly(technique: Callable[..., Dictionary]) -> Callable[..., Dictionary]:
    return partial(technique, max_steps=1) if technique in AUTOENCODERS else technique  # 100 steps at least


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_answers_keep_the_contract(technique: Callable[..., Dictionary]) -> None:
    problem, truth = sparse(n=6, d=8, samples=300)
    before, inputs = torch.get_rng_state(), problem.activations()
    first, again = quickly(technique)(problem), quickly(technique)(problem)
    assert TRACK.score(problem, truth, first) == TRACK.score(problem, truth, again)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(inputs, problem.activations())
    assert not first.directions.requires_grad


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_many_more_features_than_dimensions_are_answered(technique: Callable[..., Dictionary]) -> None:
    problem, truth = sparse(n=64, d=8, samples=300)
    assert 0 < TRACK.score(problem, truth, quickly(technique)(problem))["mcc"] < 1


def test_every_technique_of_the_track_is_tested_here() -> None:
    for info in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{info.name}")
    registered = {
        t.name for t in CATALOGUE.techniques.values() if t.function.__module__.startswith(package.__name__)
    }
    assert registered == {technique.__name__ for technique in (*TECHNIQUES, transcoder)}


def test_random_guesses_as_many_as_an_answer_may_hold() -> None:
    problem = posed(torch.zeros(10, 4), 3)
    assert random(problem).directions.shape == (6, 4)
    assert not torch.equal(
        random(problem).directions, random(posed(torch.zeros(10, 4), 3, seed=6)).directions
    )


def test_neurons_come_in_order_of_variance() -> None:
    samples = torch.tensor([[0.0, 3, 1], [0, -3, -1]])
    answer = neurons(posed(samples, 1))
    assert answer.directions.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert answer.codes is not None
    assert answer.codes.tolist() == [[3, 1], [-3, -1]]


def test_pca_equals_scikit_learn_and_the_singular_vectors() -> None:
    problem, _ = sparse(n=4, d=16, samples=400)
    answer = pca(problem)
    x = problem.activations().double().numpy()
    reference = PCA(n_components=8, svd_solver="full").fit(x).components_
    singular = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:8]
    for other in (reference, singular):
        overlap = np.abs(answer.directions.numpy() @ other.T)
        np.testing.assert_allclose(overlap, np.eye(8), atol=2e-3)


def test_fast_ica_equals_scikit_learn_up_to_sign() -> None:
    problem, _ = sparse(n=5, d=8, samples=500)
    answer = fast_ica(problem)
    library = FastICA(
        n_components=5, whiten="unit-variance", whiten_solver="eigh", max_iter=100, tol=1e-3, random_state=5
    ).fit(problem.activations().numpy())
    np.testing.assert_allclose(
        answer.directions.abs().numpy(), np.abs(library.mixing_.T), rtol=1e-4, atol=1e-5
    )
    assert answer.codes is not None
    assert bool(((answer.codes**3).mean(0) >= 0).all())


def test_fast_ica_separates_independent_sources() -> None:
    problem, truth = sparse(n=8, d=8, samples=3000, rate=0.1)
    assert TRACK.score(problem, truth, fast_ica(problem))["mcc"] > 0.97


def test_k_means_finds_separate_clusters() -> None:
    centres = torch.tensor([[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [-5, -5, -5]])
    noise = 0.01 * torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    answer = k_means(posed(centres.repeat(100, 1) + noise, 2))
    assert answer.codes is not None
    assert answer.codes.sum(1).tolist() == [1] * 400
    distance = torch.cdist(centres - centres.mean(0), answer.directions).amin(1)
    assert float(distance.max()) < 0.1


def test_nmf_factors_rebuild_the_centred_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = torch.rand(300, 2, generator=generator) @ torch.tensor([[1.0, 0, 0, 2], [0, 1.0, 3, 0]])
    answer = nmf(posed(parts, 4), iterations=400)
    assert answer.codes is not None
    x = parts - parts.mean(0)
    residual = x - answer.codes @ answer.directions
    assert float(residual.square().sum() / x.square().sum()) < 0.02


@pytest.mark.parametrize("technique", AUTOENCODERS)
def test_autoencoders_recover_features_in_superposition(technique: Callable[..., Dictionary]) -> None:
    # a prefix of few latents has to hold what many features share
    assert recovered(technique, max_steps=400) > (0.75 if technique is matryoshka_autoencoder else 0.85)


def test_fewer_directions_than_features_recover_less() -> None:
    assert 0.75 - 0.1 > recovered(fast_ica) > recovered(pca)


@pytest.mark.parametrize("technique", AUTOENCODERS)
def test_autoencoders_have_unit_directions_and_non_negative_codes(
    technique: Callable[..., Dictionary],
) -> None:
    problem, _ = sparse(n=6, d=8, samples=300)
    with torch.no_grad():
        answer = technique(problem, max_steps=1)
        assert not torch.is_grad_enabled()
    assert answer.codes is not None
    torch.testing.assert_close(answer.directions.norm(dim=1), torch.ones(12))
    assert float(answer.codes.min()) >= 0


def test_topk_keeps_k_codes() -> None:
    problem, _ = sparse(n=50, d=8, samples=300)
    answer = topk_autoencoder(problem, density=0.06, max_steps=100)
    assert answer.codes is not None
    assert int((answer.codes > 0).sum(1).max()) <= 3


@pytest.mark.parametrize("technique", [dictionary_learning, orthogonal_matching_pursuit])
def test_learned_dictionaries_recover_features_in_superposition(
    technique: Callable[..., Dictionary],
) -> None:
    assert recovered(technique) > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sparse_pca_finds_directions_that_are_sparse_in_the_coordinates() -> None:
    problem, _ = sparse(n=4, d=16, samples=400)
    codes = torch.randn(400, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor([4.0, 3, 2, 1])
    truth = torch.block_diag(*[torch.full((1, 4), 0.5)] * 4)
    noise = 0.05 * torch.randn(400, 16, generator=torch.Generator().manual_seed(2))
    answer = sparse_pca(posed(codes @ truth + noise, 4))
    overlap = torch.nn.functional.normalize(answer.directions, dim=1) @ truth.T
    assert float(overlap.abs().amax(0).min()) > 0.95
    assert float((answer.directions == 0).float().mean()) > 0.6
    library = MiniBatchSparsePCA(
        n_components=4, alpha=1.0, max_iter=20, batch_size=8, method="cd", random_state=5
    )
    x = standardised(problem.activations()).numpy()
    mine = sparse_pca(problem)
    assert mine.codes is not None
    np.testing.assert_allclose(mine.codes.numpy(), library.fit_transform(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mine.directions.numpy(), library.components_, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_dictionary_learning_equals_scikit_learn() -> None:
    problem, _ = sparse(n=5, d=8, samples=500)
    answer = dictionary_learning(problem, sparsity=0.3)
    x = standardised(problem.activations()).numpy()
    library = MiniBatchDictionaryLearning(
        n_components=10, alpha=0.3 * 8**0.5, max_iter=2, batch_size=256, fit_algorithm="cd",
        transform_algorithm="lasso_cd", positive_code=True, random_state=5,
    )  # fmt: skip
    assert answer.codes is not None
    np.testing.assert_allclose(answer.codes.numpy(), library.fit_transform(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer.directions.numpy(), library.components_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [1, 3])
def test_orthogonal_matching_pursuit_equals_scikit_learn(k: int) -> None:
    problem, _ = sparse(n=24, d=16, samples=60)
    x = standardised(problem.activations()).double()
    atoms = torch.nn.functional.normalize(
        torch.randn(24, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64), dim=1
    )
    library = orthogonal_mp(atoms.T.numpy(), x.T.numpy(), n_nonzero_coefs=k).T
    np.testing.assert_allclose(pursue_orthogonally(x, atoms, k).numpy(), library, rtol=1e-4, atol=1e-4)


def test_k_svd_updates_an_atom_towards_the_singular_vector_of_what_is_lacking() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 1, generator=generator) @ torch.tensor([[0.6, 0.8, 0.0]])
    x += 0.1 * torch.randn(30, 3, generator=generator)
    atoms = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    codes = torch.stack([x[:, 0], torch.zeros(30)], dim=1)
    worst = int((x - codes @ atoms).square().sum(1).argmax())
    for _ in range(8):  # each update is one step of the power iteration
        update_atoms(x, atoms, codes)
    leading = torch.linalg.svd(x).Vh[0]
    assert abs(float(atoms[0] @ leading)) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(codes[:, 0], x @ atoms[0])
    torch.testing.assert_close(atoms.norm(dim=1), torch.ones(2))
    assert worst >= 0
    assert abs(float(atoms[1, 2])) < 1  # the atom that no sample used became a sample
