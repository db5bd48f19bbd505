"""Metrics of the attribution track, worked by hand, and both of its tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from interp_bench.errors import ContractError
from interp_bench.harness.discovery import load_tasks
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks.attribution import (
    TRACK,
    AttributionProblem,
    AttributionTruth,
    Saliency,
    pointing_game,
    relevance_mass,
)
from interp_bench.tracks.base import Planted

TASKS = Path(__file__).parents[2] / "tasks" / "attribution" / "bench_evidence.py"


def masks(*where: int) -> Tensor:
    values = torch.zeros(1, 5, dtype=torch.bool)
    values[0, list(where)] = True
    return values


def test_pointing_game_by_hand() -> None:
    values = torch.tensor([[3.0, 4.0, 4.0, 4.0, 2.0]])
    assert pointing_game(values, masks(1, 2)) == pytest.approx(2 / 3)
    assert pointing_game(torch.tensor([[3.0, 4.0, 1.0, 5.0, 2.0]]), masks(3)) == 1.0
    assert pointing_game(torch.tensor([[3.0, 4.0, 1.0, 5.0, 2.0]]), masks(1)) == 0.0


def test_relevance_mass_counts_positive_values_only() -> None:
    assert relevance_mass(torch.tensor([[3.0, -5.0, 1.0, -2.0, 0.0]]), masks(1, 2)) == pytest.approx(0.25)
    assert relevance_mass(torch.tensor([[-3.0, -5.0, -1.0, 0.0, 0.0]]), masks(1, 2)) == 0.0


# ------------------------------------------------------------------ the track
@pytest.fixture(scope="module", params=["convnext-slim-20k", "vit-slim-200k", "native-30k"])
def planted(request: pytest.FixtureRequest) -> Planted[AttributionProblem, AttributionTruth]:
    model = open_model(load_registry().get(request.param))
    tasks = {task.name: task for task in load_tasks(TASKS)}
    task = tasks["token_evidence" if model.modality == "lm" else "visual_evidence"]
    drawn: Planted[AttributionProblem, AttributionTruth] = task.function(model, 0)
    return drawn


def test_a_task_plants_what_passes_and_truth_scores_best(
    planted: Planted[AttributionProblem, AttributionTruth],
) -> None:
    problem, truth = planted.problem, planted.truth
    assert planted.certificate.passed, planted.certificate.reason
    assert truth.masks.shape == problem.shape
    best = {metric.name: metric.best for metric in TRACK.metrics}
    assert TRACK.score(problem, truth, TRACK.true_answer(problem, truth)) == pytest.approx(best)


def test_equal_values_everywhere_score_the_base_rate(
    planted: Planted[AttributionProblem, AttributionTruth],
) -> None:
    problem, truth = planted.problem, planted.truth
    rate = float(truth.masks.double().mean())
    scores = TRACK.score(problem, truth, Saliency(values=torch.ones(problem.shape)))
    base = dict.fromkeys(("average_precision", "pointing_game", "relevance_mass"), rate)
    assert scores == pytest.approx({**base, "auroc": 0.5})


def test_the_logit_is_the_one_that_the_evidence_raises(
    planted: Planted[AttributionProblem, AttributionTruth],
) -> None:
    problem, truth = planted.problem, planted.truth
    with torch.no_grad():
        whole = problem.logit(problem.inputs)
        torch.testing.assert_close(problem.logit(problem.inputs[2:4], problem.outputs[2:4]), whole[2:4])
        torch.testing.assert_close(problem.feature_logit(problem.features()), whole)
        without = problem.logit(problem.reference)
        where = truth.masks[:, None] if problem.inputs.ndim == 4 else truth.masks
        alone = problem.logit(torch.where(where, problem.inputs, problem.reference))
    assert bool((whole > without).all())
    assert float((alone - without).mean()) > 0.5 * float((whole - without).mean())


def test_gradients_reach_every_feature(planted: Planted[AttributionProblem, AttributionTruth]) -> None:
    problem = planted.problem
    features = problem.features().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.feature_logit(features).sum(), features)
    assert gradient.shape == features.shape
    assert bool((gradient.abs().sum(problem.feature_axis) > 0).any())


def test_answers_that_do_not_fit_are_refused(planted: Planted[AttributionProblem, AttributionTruth]) -> None:
    problem, truth = planted.problem, planted.truth
    with pytest.raises(ContractError, match="saliency has shape"):
        TRACK.score(problem, truth, Saliency(values=torch.ones(3, 2)))
    for dtype in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(ContractError, match=f"saliency has dtype {dtype}; give floating-point numbers"):
            TRACK.score(problem, truth, Saliency(values=torch.ones(problem.shape).to(dtype)))
    with pytest.raises(ContractError, match=r"saliency is a float; give a torch\.Tensor"):
        TRACK.score(problem, truth, Saliency(values=1.0))
    holes = torch.ones(problem.shape)
    holes[0] = float("nan")
    with pytest.raises(ContractError, match="not finite"):
        TRACK.score(problem, truth, Saliency(values=holes))


def test_the_same_seed_gives_the_same_problem_and_another_one_another() -> None:
    task = next(task for task in load_tasks(TASKS) if task.name == "token_evidence")
    drawn = [task.function(open_model(load_registry().get("native-30k")), seed).problem for seed in (1, 1, 2)]
    assert torch.equal(drawn[0].inputs, drawn[1].inputs)
    assert not torch.equal(drawn[0].inputs, drawn[2].inputs)
