"""Circuit techniques: exact where the network is linear, ordered as published where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from interp_bench.errors import Inapplicable
from interp_bench.harness.discovery import load_file
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.techniques.circuits.gradients import eap
from interp_bench.techniques.circuits.guess import random
from interp_bench.techniques.circuits.integrated import eap_ig
from interp_bench.techniques.circuits.patching import activation_patching, node_patching
from interp_bench.techniques.circuits.weights import weight_composition
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import TRACK, CircuitProblem, CircuitTruth
from tests.circuit_toys import assert_same_scores, linear_problem, precise
from tests.model.conftest import build, sample

Pair = Planted[CircuitProblem, CircuitTruth]


@pytest.fixture(scope="module")
def planted() -> Pair:
    for path in sorted((Path(__file__).parents[2] / "tasks" / "circuits").glob("bench_*.py")):
        load_file(path)
    model = open_model(load_registry().get("native-30k"))
    pair: Pair = CATALOGUE.tasks["circuits/induction"].function(model, 1)
    return pair


def score(planted: Pair, technique: object) -> float:
    assert callable(technique)
    answer = technique(planted.problem)
    return TRACK.score(planted.problem, planted.truth, answer)["average_precision"]


def test_exact_patching_finds_the_planted_edges(planted: Pair) -> None:
    assert score(planted, activation_patching) == pytest.approx(1.0)


def test_published_order_of_gradient_scores(planted: Pair) -> None:
    """Patching >= EAP-IG >= EAP > guessing (Hanna et al. 2024; Syed et al. 2023)."""
    by_ig, by_eap, by_guess = (score(planted, t) for t in (eap_ig, eap, random))
    assert by_ig >= by_eap > by_guess
    assert by_ig > 0.7


def test_node_patching_finds_the_nodes(planted: Pair) -> None:
    answer = node_patching(planted.problem)
    assert TRACK.score(planted.problem, planted.truth, answer)["auroc"] > 0.95


def test_on_a_linear_network_eap_equals_patching() -> None:
    """First-order effects are exact there: eap scores are minus the fall of the metric, per edge."""
    problem = precise(linear_problem())
    exact = activation_patching(problem, n_pairs=4).scores
    first_order = -eap(problem).scores / 4  # eap sums over the batch, patching takes the mean
    valid = problem.graph.valid
    assert_same_scores(first_order[valid], exact[valid])


def test_eap_ig_at_one_step_is_eap() -> None:
    """The last step of the path is the clean input itself."""
    model = build("llama")
    outcomes = torch.tensor([[3, 4]] * 3)
    problem = CircuitProblem(
        model=model, seed=0, clean=sample(model, 0), corrupted=sample(model, 1), outcomes=outcomes
    )
    torch.testing.assert_close(eap_ig(problem, steps=1).scores, eap(problem).scores)


def test_patching_says_when_there_are_too_many_edges(planted: Pair) -> None:
    with pytest.raises(Inapplicable, match="max_edges is 10"):
        activation_patching(planted.problem, max_edges=10)


def test_composition_by_hand() -> None:
    """A head that writes just what another's values read scores 1; an orthogonal one 0."""
    model = build("gpt2")
    a = model.transformer
    d, h = a.d_model, a.d_head
    eye = torch.eye(d, dtype=torch.float64)
    a.blocks[0].out.write_rows(0, eye[:h])
    a.projection(1, "v", 0).write(eye[:, :h])
    a.projection(1, "v", 1).write(eye[:, h : 2 * h])
    problem = CircuitProblem(
        model=model,
        seed=0,
        clean=sample(model, 0),
        corrupted=sample(model, 1),
        outcomes=torch.zeros(3, 2).long(),
    )
    scores = weight_composition(problem).scores
    assert float(scores[problem.graph.index(("a0.h0", "a1.h0<v>"))]) == pytest.approx(1.0, abs=1e-5)
    assert float(scores[problem.graph.index(("a0.h0", "a1.h1<v>"))]) == pytest.approx(0.0, abs=1e-3)
