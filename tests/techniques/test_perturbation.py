"""Techniques that replace parts of the input: exact games, masks worked out by hand, and captum's values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression
from captum.attr import FeatureAblation, LimeBase
from captum.attr._core.lime import get_exp_kernel_similarity_function
from torch import Tensor, nn

from interp_bench.techniques.attribution import segments, surrogate
from interp_bench.techniques.attribution.feature_ablation import feature_ablation
from interp_bench.techniques.attribution.rise import draw_masks, masked_mean, rise
from interp_bench.techniques.attribution.surrogate import kernel_shap, lime
from tests.attribution_toys import planted, toy_problem


class Game(nn.Module):
    """Four players, the pixels of the first colour: pairs and triples gain together."""

    def forward(self, images: Tensor) -> Tensor:
        a, b, c, d = images[:, 0].flatten(1).unbind(1)
        value = 2 * a + 3 * a * b - d + 5 * b * c * d + a * c
        return torch.stack([value, -value], 1)

    # The worth of each term is split evenly among its players.
    shapley = torch.tensor([[2 + 1.5 + 0.5, 1.5 + 5 / 3], [5 / 3 + 0.5, -1 + 5 / 3]])


def game() -> Any:
    problem = toy_problem(Game(), torch.ones(2, 3, 2, 2), (0, 1))
    # Networks of one number need a parameter for their device.
    problem.model.module.register_buffer("_", torch.zeros(1))
    return problem


def test_kernel_shap_of_a_small_game_is_exact() -> None:
    values = kernel_shap(game(), windows=2).values
    torch.testing.assert_close(values, torch.stack([Game.shapley, -Game.shapley]), rtol=1e-5, atol=1e-5)


def test_the_game_has_these_shapley_values_in_all_orders() -> None:
    network, gains = Game(), torch.zeros(4)
    for order in itertools.permutations(range(4)):
        image = torch.zeros(1, 3, 4)
        for player in order:
            before = network(image.view(1, 3, 2, 2))[0, 0]
            image[:, :, player] = 1
            gains[player] += (network(image.view(1, 3, 2, 2))[0, 0] - before) / 24
    torch.testing.assert_close(gains.view(2, 2), Game.shapley)


def test_drawn_sets_have_sizes_as_the_kernel_weighs_them() -> None:
    sets, weights = surrogate.shapley_sets(6, 40, np.random.default_rng(0))
    assert sets.shape == (40, 6)
    assert np.array_equal(weights, np.ones(40))
    np.testing.assert_array_equal(sets[:20] + sets[20:], 1)
    counts = surrogate.shapley_sets(40, 20_000, np.random.default_rng(0))[0].sum(1)
    odds = 1 / (np.arange(1, 40) * (40 - np.arange(1, 40)))
    shares = np.bincount(counts.astype(int), minlength=40)[1:] / len(counts)
    np.testing.assert_allclose(shares, odds / odds.sum(), atol=0.01)


def generator_of(sets: np.ndarray[Any, Any]) -> Any:
    def perturb(original: Tensor, **_: Any) -> Iterator[Tensor]:
        for row in sets:
            yield torch.from_numpy(row)[None].long()

    return perturb


def captum_fit(problem: Any, index: int, sets: np.ndarray[Any, Any], model: Any, similarity: Any) -> Tensor:
    """Return the coefficients that captum fits to given sets of tokens."""
    one, reference = problem.inputs[index : index + 1], problem.reference[index : index + 1]
    output = problem.outputs[index]
    base = LimeBase(
        lambda tokens: problem.logit(tokens, output.expand(len(tokens))),
        model,
        similarity,
        generator_of(sets),
        True,
        lambda row, original, **_: torch.where(row.bool(), original, reference),
        None,
    )
    found: Tensor = base.attribute(one, n_samples=len(sets), perturbations_per_eval=32)
    return found.flatten().float()


def test_kernel_shap_is_the_fit_that_captum_makes_of_the_same_sets() -> None:
    problem = planted("native-30k").problem
    n = problem.shape[-1]
    sets, _ = surrogate.shapley_sets(n, 64, problem.rng)
    ends = np.stack([np.ones(n), np.zeros(n)])

    def weight(_: Tensor, __: Tensor, row: Tensor, **___: Any) -> Tensor:
        # captum's: the ends of the game weigh a million times as much.
        return torch.tensor([1e6 if int(row.sum()) in (0, n) else 1.0])

    theirs = captum_fit(problem, 1, np.concatenate([ends, sets]), SkLearnLinearRegression(), weight)
    ours = kernel_shap(problem, n_samples=64).values[1]
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=2e-2)


def test_lime_is_the_lasso_that_captum_makes_of_the_same_sets() -> None:
    problem = planted("native-30k").problem
    sets = problem.rng.integers(0, 2, (64, problem.shape[-1])).astype(np.float64)
    sets[0] = 1
    kernel = get_exp_kernel_similarity_function("cosine", kernel_width=0.25)

    def weight(_: Tensor, __: Tensor, row: Tensor, **___: Any) -> Any:
        whole = torch.ones(1, row.shape[1])
        return kernel(whole, row.float(), row)

    theirs = captum_fit(problem, 1, sets, SkLearnLasso(alpha=0.01), weight)
    torch.testing.assert_close(lime(problem, n_samples=64).values[1], theirs, rtol=1e-3, atol=1e-3)


def test_lime_of_a_sum_finds_its_terms() -> None:
    problem = planted("native-30k").problem
    sets = problem.rng.integers(0, 2, (64, 5)).astype(np.float64)
    weights = surrogate.nearness(sets)
    assert weights.argmax() == sets.sum(1).argmax()
    # Cosine distance of one half to the whole: 1 - sqrt(1/2); width 1/4.
    assert surrogate.nearness(np.array([[1.0, 0.0]]))[0] == pytest.approx(np.exp(-8 * (1 - 0.5**0.5) ** 2))


# ------------------------------------------------------------------ RISE
def test_the_mean_over_masks_is_the_sum_of_what_each_shows() -> None:
    masks = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.5]], [[0.0, 0.0]]])
    values = masked_mean(masks, torch.tensor([0.5, 0.25, 0.5, 1.0]), share=0.5)
    # (0.5 + 0.25) / (4 * 0.5) and (0.25 + 0.25) / 2
    assert values.tolist() == [[0.375, 0.25]]


def test_masks_of_images_are_smooth_and_show_half() -> None:
    problem = planted("convnext-slim-20k").problem
    masks = draw_masks(problem, 400, 7, 0.5)
    assert masks.shape == (400, 64, 64)
    assert 0 <= float(masks.min()) <= float(masks.max()) <= 1
    assert float(masks.mean()) == pytest.approx(0.5, abs=0.02)
    # A cell of 10 pixels is blended over 10 of them: no step is larger than 1/8.
    assert float(masks.diff(dim=2).abs().max()) < 0.15


def test_rise_of_tokens_is_the_mean_probability_where_a_token_stays() -> None:
    problem = planted("native-30k").problem
    masks = draw_masks(problem, 32, 7, 0.5).bool()
    assert masks.shape == (32, problem.shape[-1])
    hidden = torch.where(masks, problem.inputs[2], problem.reference[2])
    with torch.no_grad():
        probability = problem.model(hidden)[:, -1].softmax(-1)[:, problem.outputs[2]]
    expected = (probability[:, None] * masks).sum(0) / 16
    torch.testing.assert_close(rise(problem, n_masks=32).values[2], expected, rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------ parts
def test_squares_number_the_cells_of_an_image_by_rows() -> None:
    problem = toy_problem(Game(), torch.ones(1, 3, 4, 6), (0,))
    assert segments.squares(problem, 2)[0, 0].tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2


def test_superpixels_follow_colours() -> None:
    image = torch.zeros(3, 12, 12)
    image[0, :, :5] = 3.0
    parts = segments.superpixels(image, 4, compactness=0.5, seed=0)
    assert not set(parts[:, :5].flatten().tolist()) & set(parts[:, 5:].flatten().tolist())
    assert sorted(set(parts.flatten().tolist())) == [0, 1, 2, 3]


def test_ablation_of_spans_is_the_fall_when_two_tokens_are_replaced() -> None:
    problem = planted("native-30k").problem
    values = feature_ablation(problem).values
    swapped = problem.inputs.clone()
    swapped[:, 6:8] = problem.reference[:, 6:8]
    with torch.no_grad():
        fall = problem.logit(problem.inputs) - problem.logit(swapped)
    torch.testing.assert_close(values[:, 6], fall, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(values[:, 6], values[:, 7])


def test_ablation_of_superpixels_is_what_captum_gives() -> None:
    problem = planted("convnext-slim-20k").problem
    parts = segments.superpixels(problem.inputs[1], 9, compactness=1.0, seed=problem.seed % 2**32)
    theirs = FeatureAblation(problem.logit).attribute(
        problem.inputs[1:2],
        baselines=problem.reference[1:2],
        feature_mask=parts[None, None],
        additional_forward_args=problem.outputs[1:2],
    )
    ours = feature_ablation(problem, n_superpixels=9).values[1]
    torch.testing.assert_close(ours, theirs.detach()[0, 0], rtol=1e-4, atol=1e-5)
