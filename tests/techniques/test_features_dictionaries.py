"""Feature techniques: equal to their references, and right on data whose dictionary is known."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, FastICA
from torch import Tensor

import interp_bench.techniques.features as package
from interp_bench.techniques.features.autoencoder import Autoencoder, Training, steps_within
from interp_bench.techniques.features.fast_ica import fast_ica
from interp_bench.techniques.features.guess import random
from interp_bench.techniques.features.k_means import k_means
from interp_bench.techniques.features.l1_autoencoder import l1_autoencoder
from interp_bench.techniques.features.neurons import neurons
from interp_bench.techniques.features.nmf import nmf
from interp_bench.techniques.features.pca import pca
from interp_bench.techniques.features.topk_autoencoder import largest, topk_autoencoder
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.features import TRACK, Dictionary, FeatureProblem, FeatureTruth

TECHNIQUES: list[Callable[..., Dictionary]] = [
    random, neurons, pca, fast_ica, nmf, k_means, l1_autoencoder, topk_autoencoder,
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


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_answers_keep_the_contract(technique: Callable[..., Dictionary]) -> None:
    problem, truth = sparse(n=6, d=8, samples=300)
    before, inputs = torch.get_rng_state(), problem.activations()
    first, again = technique(problem), technique(problem)
    assert TRACK.score(problem, truth, first) == TRACK.score(problem, truth, again)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(inputs, problem.activations())
    assert not first.directions.requires_grad


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_many_more_features_than_dimensions_are_answered(technique: Callable[..., Dictionary]) -> None:
    problem, truth = sparse(n=64, d=8, samples=300)
    assert 0 < TRACK.score(problem, truth, technique(problem))["mcc"] < 1


def test_every_technique_of_the_track_is_tested_here() -> None:
    for info in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{info.name}")
    registered = {
        t.name for t in CATALOGUE.techniques.values() if t.function.__module__.startswith(package.__name__)
    }
    assert registered == {technique.__name__ for technique in TECHNIQUES}


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


def test_l1_loss_by_hand() -> None:
    x, back = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0, 0], [3, 3]])
    codes = torch.tensor([[0.5, 0], [1, 2]])
    # squared errors 4 and 1, mean 2.5; L1 norms 0.5 and 3, mean 1.75
    assert float(l1_loss(x, codes, back, 2.0)) == pytest.approx(2.5 + 2 * 1.75)


def test_topk_by_hand() -> None:
    pre = torch.tensor([[3.0, -1, 2], [-5, -1, -2]])
    assert largest(pre, 1).tolist() == [[3, 0, 0], [0, 0, 0]]
    assert largest(pre, 2).tolist() == [[3, 0, 2], [0, 0, 0]]
    x, back = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0, 0], [3, 3]])
    assert float(topk_loss(x, pre, back)) == pytest.approx(2.5)


def test_autoencoder_by_hand() -> None:
    model = Autoencoder(
        encoder=torch.tensor([[1.0, 2], [0, 1]]),
        encoder_bias=torch.tensor([0.5, -1]),
        decoder=torch.tensor([[1.0, 0], [0, 1]]),
        decoder_bias=torch.tensor([1.0, 1]),
    )
    # x - b_dec = (1, 2): codes (1 + 4 + 0.5, 2 - 1), and back (5.5 + 1, 1 + 1)
    codes = model.pre_codes(torch.tensor([[2.0, 3]]))
    assert codes.tolist() == [[5.5, 1]]
    assert model.decode(codes).tolist() == [[6.5, 2]]


def test_steps_follow_from_the_budget() -> None:
    training = Training(expansion=2, budget=6e9, max_steps=500, batch=100)
    assert steps_within(training, 100, 500) == 200
    assert steps_within(training, 10, 10) == 500
    assert steps_within(training, 10_000, 10_000) == 100


@pytest.mark.parametrize("technique", [topk_autoencoder, l1_autoencoder])
def test_autoencoders_recover_features_in_superposition(technique: Callable[..., Dictionary]) -> None:
    assert recovered(technique) > 0.9
    assert recovered(technique) > recovered(fast_ica) + 0.1 > recovered(pca) + 0.1


@pytest.mark.parametrize("technique", [topk_autoencoder, l1_autoencoder])
def test_autoencoders_have_unit_directions_and_non_negative_codes(
    technique: Callable[..., Dictionary],
) -> None:
    problem, _ = sparse(n=6, d=8, samples=300)
    with torch.no_grad():
        answer = technique(problem)
        assert not torch.is_grad_enabled()
    assert answer.codes is not None
    torch.testing.assert_close(answer.directions.norm(dim=1), torch.ones(12))
    assert float(answer.codes.min()) >= 0


def test_topk_keeps_k_codes() -> None:
    problem, _ = sparse(n=50, d=8, samples=300)
    answer = topk_autoencoder(problem, density=0.06, max_steps=100)
    assert answer.codes is not None
    assert int((answer.codes > 0).sum(1).max()) <= 3
