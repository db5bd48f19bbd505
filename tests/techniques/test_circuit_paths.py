"""Gradients along paths: equal to slopes through shares of edges, and to each other where they must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.techniques.circuits.gradients import eap, eap_clean_corrupted, gradient_x_activation
from interp_bench.techniques.circuits.integrated import eap_gp, eap_ig, eap_ig_activations
from interp_bench.techniques.circuits.patching import mean_patching, zero_patching
from interp_bench.tracks.circuits import CircuitProblem
from tests.circuit_toys import assert_same_scores, linear_problem, precise, small_problem

KINDS = ["gpt2", "llama", "neox", "vit", "convnext"]


def slopes(problem: CircuitProblem, share: float, rows: slice) -> torch.Tensor:
    """The gradient of the summed metric in what share of each edge is replaced, some of it being so."""
    cut = torch.zeros(problem.graph.shape, dtype=torch.float64)
    cut[rows] = share
    cut.requires_grad_()
    replacement = problem.source_outputs(problem.corrupted)
    (found,) = torch.autograd.grad(problem.patched_metric(replacement, cut).sum(), cut)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_eap_is_the_slope_in_the_share_that_is_replaced(kind: str) -> None:
    problem = precise(small_problem(kind))
    assert_same_scores(eap(problem).scores, slopes(problem, 0.0, slice(0)))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "convnext"])
def test_eap_ig_activations_by_shares(kind: str) -> None:
    """Integrating at one layer of sources is replacing a growing share of all that leaves it."""
    problem = precise(small_problem(kind))
    writes = problem.writes(problem.clean)
    wanted = torch.zeros(problem.graph.shape, dtype=torch.float64)
    for name in writes.parts:
        rows = writes.rows(name)
        for share in (0.0, 0.5):  # steps 2 and 1 of 2
            wanted[rows] += slopes(problem, share, rows)[rows] / 2
    assert_same_scores(eap_ig_activations(problem, steps=2).scores, wanted)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "vit"])
def test_eap_ig_by_its_formula(kind: str) -> None:
    """The mean, over points on the way to the clean input, of slopes in shares of the same change."""
    problem = precise(small_problem(kind))
    clean, corrupted = (problem.source_outputs(x) for x in (problem.clean, problem.corrupted))
    wanted = torch.zeros(problem.graph.shape, dtype=torch.float64)
    for step in (1, 2, 3):
        point = corrupted[0] + (clean[0] - corrupted[0]) * step / 3
        with problem.model.patch({"blocks.0.hook_resid_pre": point}):
            own = problem.source_outputs(problem.clean)
            cut = torch.zeros(problem.graph.shape, dtype=torch.float64, requires_grad=True)
            metric = problem.patched_metric(own + corrupted - clean, cut).sum()
            wanted += torch.autograd.grad(metric, cut)[0] / 3
    assert_same_scores(eap_ig(problem, steps=3).scores, wanted)


@pytest.mark.parametrize("kind", ["gpt2", "resnet"])
def test_clean_corrupted_is_the_mean_over_both_ends(kind: str) -> None:
    problem = precise(small_problem(kind))
    swapped = replace(problem, clean=problem.corrupted, corrupted=problem.clean)
    wanted = (eap(problem).scores - eap(swapped).scores) / 2  # the change has the other sign there
    assert_same_scores(eap_clean_corrupted(problem).scores, wanted)


@pytest.mark.parametrize("kind", ["neox", "convnext"])
def test_the_gradient_path_starts_at_the_clean_input_and_leaves_it(kind: str) -> None:
    problem = precise(small_problem(kind))
    assert_same_scores(eap_gp(problem, steps=1).scores, eap(problem).scores)
    assert not torch.allclose(eap_gp(problem).scores.double(), eap(problem).scores, rtol=1e-2)


def test_the_gradient_path_comes_nearer_to_the_corrupted_output() -> None:
    from interp_bench.techniques.circuits.integrated import _step

    problem = small_problem("gpt2")
    clean, corrupted = problem.writes(problem.clean), problem.writes(problem.corrupted)
    wanted = problem.final(problem.model.logits(problem.corrupted))
    start = clean.parts["input"]
    length = (corrupted.parts["input"] - start).flatten(1).norm(dim=1) / 20
    point = _step(problem, "input", start, wanted, length)
    torch.testing.assert_close((point - start).flatten(1).norm(dim=1), length)
    with torch.no_grad():
        before, after = ((problem.held_logits({"input": x}) - wanted).pow(2).sum(1) for x in (start, point))
    assert bool((after < before).all())


def test_on_a_linear_network_all_paths_agree() -> None:
    problem = precise(linear_problem())
    wanted = eap(problem).scores
    for technique in (eap_ig, eap_ig_activations, eap_clean_corrupted, eap_gp):
        assert_same_scores(technique(problem).scores, wanted)
    assert float(wanted.abs().max()) > 0.1


def test_on_a_linear_network_ablations_are_first_order() -> None:
    problem = precise(linear_problem())
    clean = problem.source_outputs(problem.clean)
    mean = problem.source_outputs(problem.corrupted).mean(1, keepdim=True)
    assert_same_scores(zero_patching(problem).scores, gradient_x_activation(problem).scores / 4)
    assert_same_scores(mean_patching(problem).scores, -problem.edge_attributions(mean - clean) / 4)


def test_batches_add_up() -> None:
    problem = precise(small_problem("gpt2", 5))
    parts = list(problem.batches(memory=5e-4))
    assert len(parts) > 1
    assert torch.equal(torch.cat([part.clean for part in parts]), problem.clean)
    total = sum(eap(part).scores for part in parts)
    assert_same_scores(torch.as_tensor(total), eap(problem).scores)


def test_scores_by_input_add_up() -> None:
    for kind in ("llama", "resnet"):
        problem = precise(small_problem(kind))
        deltas = problem.source_outputs(problem.corrupted)
        each = problem.edge_attributions(deltas, per_input=True)
        assert each.shape == (3, *problem.graph.shape)
        assert_same_scores(each.sum(0), problem.edge_attributions(deltas))
        alone = problem.first(1).edge_attributions(deltas[:, :1])
        assert_same_scores(each[0], alone)


def test_eap_runs_twice_forwards_and_once_backwards() -> None:
    problem = small_problem("gpt2")
    meter = problem.model.meter
    before = (meter.forwards, meter.backwards)
    eap(problem)
    assert (meter.forwards - before[0], meter.backwards - before[1]) == (2, 1)
