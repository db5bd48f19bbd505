"""Scores of the features track, worked by hand."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from interp_bench.errors import ContractError
from interp_bench.tracks.features import (
    TRACK,
    Dictionary,
    FeatureProblem,
    FeatureTruth,
    cosines,
    firing_f1,
    true_answer,
)

PLANE = torch.eye(2)


def problem(samples: Tensor, n_features: int) -> FeatureProblem:
    return FeatureProblem(
        model=cast(Any, None),
        seed=0,
        site="site",
        inputs=torch.zeros(len(samples), 1, dtype=torch.long),
        rows=torch.arange(len(samples)),
        n_features=n_features,
        _recorded=samples,
    )


def score(
    directions: Tensor, codes: Tensor | None = None, *, truth: FeatureTruth | None = None
) -> dict[str, float]:
    true = truth or FeatureTruth(directions=PLANE, codes=torch.tensor([[1.0, 0], [0, 2], [0, 0], [1, 0]]))
    samples = true.codes @ true.directions
    return TRACK.score(
        problem(samples, len(true.directions)), true, Dictionary(directions=directions, codes=codes)
    )


def test_mcc_ignores_norm_sign_and_order() -> None:
    assert score(torch.tensor([[0.0, -3], [0.1, 0]]))["mcc"] == pytest.approx(1)


def test_mcc_is_the_mean_cosine_over_planted_features() -> None:
    tilted = torch.tensor([[math.cos(0.5), math.sin(0.5)], [0, 1]])
    assert score(tilted)["mcc"] == pytest.approx((math.cos(0.5) + 1) / 2)


def test_a_missing_direction_counts_as_zero() -> None:
    assert score(torch.tensor([[1.0, 0]]))["mcc"] == pytest.approx(0.5)


def test_a_direction_is_matched_once() -> None:
    twice = torch.tensor([[1.0, 0], [1.0, 0]])
    assert score(twice)["mcc"] == pytest.approx(0.5)
    assert score(twice)["uniqueness"] == pytest.approx(0.5)


def test_surplus_directions_cost_no_recall() -> None:
    more = torch.tensor([[1.0, 0], [1, 1], [0, 1], [1, -1]])
    assert score(more)["mcc"] == pytest.approx(1)
    assert score(more)["uniqueness"] == pytest.approx(1)


def test_directions_of_norm_zero_are_worth_nothing() -> None:
    assert score(torch.zeros(2, 2))["mcc"] == 0
    assert torch.equal(cosines(torch.zeros(1, 2), PLANE), torch.zeros(1, 2))


def test_mcc_is_unchanged_by_a_rotation_of_the_site() -> None:
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    true = torch.nn.functional.normalize(torch.randn(3, 4, generator=generator), dim=1)
    answer, codes = torch.randn(5, 4, generator=generator), torch.rand(6, 3, generator=generator)
    before = score(answer, truth=FeatureTruth(directions=true, codes=codes))
    after = score(answer @ rotation, truth=FeatureTruth(directions=true @ rotation, codes=codes))
    assert after == pytest.approx(before, abs=1e-5)


def test_f1_of_firing_by_hand() -> None:
    # First feature fires in samples 0 and 3; the codes find 0 and wrongly 1: precision, recall = 1/2.
    # Second fires in sample 1 only; found there alone: F1 = 1.
    codes = torch.tensor([[1.0, 0], [1, 5], [0, 0], [0, 0]])
    assert score(PLANE, codes)["f1"] == pytest.approx((0.5 + 1) / 2)


def test_f1_follows_the_sign_of_the_direction() -> None:
    codes = torch.tensor([[1.0, 0], [0, 2], [0, 0], [1, 0]])
    assert score(-PLANE, -codes)["f1"] == pytest.approx(1)
    assert score(-PLANE, codes)["f1"] == 0


def test_without_codes_the_centred_projection_fires() -> None:
    # Means of the samples are (0.5, 0.5): the projections are above zero exactly where features fire.
    assert score(PLANE)["f1"] == pytest.approx(1)


def test_f1_of_a_feature_that_neither_fires_nor_should_is_zero() -> None:
    assert firing_f1(torch.zeros(1, 3), torch.zeros(1, 3)).tolist() == [0]


def test_the_truth_scores_one() -> None:
    codes = torch.tensor([[1.0, 0], [0, 2], [0, 0], [1, 0]])
    truth = FeatureTruth(directions=PLANE, codes=codes)
    asked = problem(codes, 2)
    assert TRACK.score(asked, truth, true_answer(asked, truth)) == pytest.approx(
        {"mcc": 1, "f1": 1, "uniqueness": 1, "r2": 1}
    )


def test_activations_are_handed_out_as_copies() -> None:
    asked = problem(torch.ones(3, 2), 1)
    asked.activations().zero_()
    assert torch.equal(asked.activations(), torch.ones(3, 2))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Dictionary(directions=torch.ones(2, 3)), r"shape \(2, 3\); expected \(any, 2\)"),
        (Dictionary(directions=torch.ones(5, 2)), "holds 5 directions; this problem takes 1 to 4"),
        (Dictionary(directions=torch.ones(0, 2)), "holds 0 directions"),
        (Dictionary(directions=torch.full((1, 2), math.nan)), "not finite"),
        (
            Dictionary(directions=PLANE, codes=torch.ones(4, 1)),
            r"codes has shape \(4, 1\); expected",
        ),
        (Dictionary(directions=PLANE, codes=torch.full((4, 2), math.inf)), "codes holds values"),
        (PLANE, "answer is a Tensor"),
        (
            Dictionary(directions=PLANE.long()),
            "directions has dtype torch.int64; give floating-point",
        ),
        (Dictionary(directions=PLANE.cfloat()), "directions has dtype torch.complex64"),
        (Dictionary(directions=PLANE, codes=torch.ones(4, 2) > 0), "codes has dtype torch.bool"),
        (Dictionary(directions=PLANE.tolist()), "directions is a list; give a torch.Tensor"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answer: Any, reason: str) -> None:
    truth = FeatureTruth(directions=PLANE, codes=torch.ones(4, 2))
    with pytest.raises(ContractError, match=reason):
        TRACK.score(problem(torch.ones(4, 2), 2), truth, answer)
