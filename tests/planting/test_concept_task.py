"""The concept tasks plant, certify and hide what they should, in one model of each kind."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from interp_bench.harness.discovery import load_tasks
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks.base import Planted
from interp_bench.tracks.concepts import TRACK, ConceptProblem, ConceptTruth, Subspace
from interp_bench.tracks.planted_concept import tied_values

PATH = Path(__file__).parents[2] / "tasks" / "concepts" / "bench_concept.py"
HOSTS = {
    "native-30k": "marker_concept",
    "native-rope-200k": "marker_concept",
    "vit-slim-200k": "visual_concept",
    "convnext-slim-20k": "visual_concept",
    "resnet18": "visual_concept",
}


def planted(name: str, seed: int = 5, **dials: Any) -> Planted[ConceptProblem, ConceptTruth]:
    tasks = {task.name: task for task in load_tasks(PATH)}
    return tasks[HOSTS[name]].function(open_model(load_registry().get(name)), seed, **dials)


@pytest.fixture(scope="module", params=HOSTS)
def case(request: pytest.FixtureRequest) -> Planted[ConceptProblem, ConceptTruth]:
    return planted(request.param)


def test_certificate_passes_and_holds_both_kinds_of_checks(case: Planted[Any, Any]) -> None:
    assert case.certificate.passed, case.certificate.reason
    names = {check.name.partition("[")[0] for check in case.certificate.checks}
    assert {"accuracy", "sufficiency", "necessity", "inertness", "own", "random", "other_variable"} <= names


def test_truth_scores_at_least_its_certified_bound(case: Planted[Any, Any]) -> None:
    scores = TRACK.score(case.problem, case.truth, TRACK.true_answer(case.problem, case.truth))
    assert scores["interchange_accuracy"] >= 0.95
    assert scores["overlap"] == pytest.approx(1)
    assert scores["site_hit"] == 1


def test_everything_together_isolates_nothing(case: Planted[Any, Any]) -> None:
    site = next(iter(case.truth.carriers))
    whole = Subspace(site=site, basis=torch.eye(case.problem.model.width(site)))
    scores = TRACK.score(case.problem, case.truth, whole)
    assert scores["cause"] >= 0.95
    assert scores["isolate"] <= 0.1


def test_the_problem_does_not_hold_the_key(case: Planted[Any, Any]) -> None:
    names = {field.name for field in fields(case.problem)}
    assert names == {
        "model",
        "seed",
        "inputs",
        "labels",
        "n_values",
        "outputs",
        "sites",
        "position",
        "_recall",
    }
    held_out = {tuple(row.flatten().tolist()) for row in case.truth.inputs}
    assert not held_out & {tuple(row.flatten().tolist()) for row in case.problem.inputs}
    first, second = (set(variable.outputs.tolist()) for variable in case.truth.causal.variables)
    assert first.isdisjoint(second)


def test_the_logits_of_the_variable_say_its_value(case: Planted[Any, Any]) -> None:
    logits = case.problem.behaviour(case.problem.model.logits(case.problem.inputs))
    assert float((logits.argmax(1) == case.problem.labels).double().mean()) >= 0.95


def test_both_variables_differ_within_every_held_out_pair(case: Planted[Any, Any]) -> None:
    values = case.truth.values
    assert bool((values[case.truth.base] != values[case.truth.source]).all())


def test_the_same_seed_plants_the_same_and_another_seed_does_not() -> None:
    one, again, other = planted("native-30k", 3), planted("native-30k", 3), planted("native-30k", 4)
    assert torch.equal(one.problem.inputs, again.problem.inputs)
    assert one.certificate == again.certificate
    assert not torch.equal(one.problem.inputs, other.problem.inputs)


def test_correlation_ties_the_second_variable_to_the_first() -> None:
    values = tied_values(4000, 4, (0.6,), torch.Generator().manual_seed(0))
    assert torch.bincount(values[:, 0]).tolist() == [1000] * 4
    assert float((values[:, 0] == values[:, 1]).double().mean()) == pytest.approx(0.6, abs=0.03)


def test_a_dial_changes_the_number_of_values() -> None:
    case = planted("native-30k", n_values=2, length=10)
    assert case.problem.inputs.shape[1] == 10
    assert case.problem.outputs.shape == (2,)
    assert case.certificate.passed, case.certificate.reason
