"""The circuits track: metrics by hand, checks of answers."""

from __future__ import annotations

import pytest
import torch

from interp_bench.errors import ContractError
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks.circuits import TRACK, CircuitProblem, CircuitTruth, EdgeScores, grade_edges


def test_grades_by_hand() -> None:
    """Ranks 1 and 3 of four are planted: AP = (1/1 + 2/3) / 2, AUROC = 3/4, one hit in the first two."""
    scores = grade_edges(torch.tensor([0.9, 0.5, 0.4, 0.1]), torch.tensor([True, False, True, False]))
    assert scores["average_precision"] == pytest.approx(5 / 6)
    assert scores["auroc"] == pytest.approx(3 / 4)
    assert scores["r_precision"] == pytest.approx(1 / 2)


def test_ties_reward_no_order() -> None:
    """All tied: AP is the base rate, AUROC one half, R-precision the expected hits."""
    scores = grade_edges(torch.zeros(8), torch.tensor([True] * 2 + [False] * 6))
    assert scores["average_precision"] == pytest.approx(2 / 8)
    assert scores["auroc"] == pytest.approx(0.5)
    assert scores["r_precision"] == pytest.approx(2 / 8)


@pytest.fixture(scope="module")
def problem() -> CircuitProblem:
    model = open_model(load_registry().get("native-30k"))
    tokens = torch.randint(0, 60, (4, 6), generator=torch.Generator().manual_seed(0))
    outcomes = torch.tensor([[1, 2], [3, 4], [5, 6], [7, 8]])
    return CircuitProblem(model=model, seed=0, clean=tokens, corrupted=tokens.flip(0), outcomes=outcomes)


TRUTH = CircuitTruth(edges=(("input", "a1.h2<v>"), ("a1.h2", "logits")))


def test_the_truth_scores_one(problem: CircuitProblem) -> None:
    scores = TRACK.score(problem, TRUTH, TRACK.true_answer(problem, TRUTH))
    assert scores == {"average_precision": 1.0, "auroc": 1.0, "r_precision": 1.0}


def test_the_sign_counts_only_when_said(problem: CircuitProblem) -> None:
    scores = -TRACK.true_answer(problem, TRUTH).scores
    assert TRACK.score(problem, TRUTH, EdgeScores(scores=scores))["auroc"] == 1.0
    assert TRACK.score(problem, TRUTH, EdgeScores(scores=scores, signed=True))["auroc"] == 0.0


def test_values_where_no_edge_exists_are_ignored(problem: CircuitProblem) -> None:
    scores = TRACK.true_answer(problem, TRUTH).scores
    scores[~problem.graph.valid] = float("nan")
    assert TRACK.score(problem, TRUTH, EdgeScores(scores=scores))["average_precision"] == 1.0


def test_the_metric_is_a_difference_of_last_logits(problem: CircuitProblem) -> None:
    logits = torch.zeros(4, 6, 10)
    logits[0, -1, 1], logits[0, -1, 2], logits[1, 0, 3] = 5.0, 2.0, 9.0
    assert problem.metric(logits).tolist() == [3.0, 0.0, 0.0, 0.0]
    assert len(problem.first(2).metric(logits[:2])) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(3, 3), "takes EdgeScores"),
        (EdgeScores(scores=torch.zeros(3, 3)), "has shape"),
        (EdgeScores(scores=[0.0]), "is a list; give a torch.Tensor"),
        (
            EdgeScores(scores=torch.zeros(3, 3).long()),
            "scores has dtype torch.int64; give floating-point",
        ),
        (EdgeScores(scores=torch.zeros(3, 3) > 0), "scores has dtype torch.bool"),
        (EdgeScores(scores=torch.zeros(3, 3).cfloat()), "scores has dtype torch.complex64"),
        (EdgeScores(scores=torch.zeros(3, 3), signed="no"), "signed is a str; give True or False"),
    ],
)
def test_wrong_answers_are_named(problem: CircuitProblem, answer: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        TRACK.score(problem, TRUTH, answer)


def test_nan_is_refused(problem: CircuitProblem) -> None:
    scores = torch.zeros(problem.graph.shape)
    scores[0, 0] = float("nan")
    with pytest.raises(ContractError, match="not finite"):
        TRACK.score(problem, TRUTH, EdgeScores(scores=scores))
