"""Circuit techniques on the channel groups of CNNs: exact where the network is linear, or declined."""

from __future__ import annotations

import pytest
import torch

from interp_bench.techniques.circuits.gradients import eap, gradient_x_activation
from interp_bench.techniques.circuits.guess import random
from interp_bench.techniques.circuits.integrated import eap_ig
from interp_bench.techniques.circuits.patching import activation_patching, node_patching
from interp_bench.techniques.circuits.weights import weight_composition
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import CircuitProblem
from tests.model.cnns import build_cnn, pixels


def problem(kind: str) -> CircuitProblem:
    outcomes = torch.tensor([[2, 3]] * 3)
    return CircuitProblem(
        model=build_cnn(kind), seed=0, clean=pixels(0), corrupted=pixels(1), outcomes=outcomes
    )


def test_on_a_linear_cnn_eap_equals_patching() -> None:
    """First-order effects are exact there: eap scores are minus the fall of the metric, per edge."""
    linear = problem("linear")
    valid = linear.graph.valid
    exact = activation_patching(linear).scores[valid]
    torch.testing.assert_close(-eap(linear).scores[valid] / 3, exact, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(eap_ig(linear).scores[valid], eap(linear).scores[valid], atol=1e-5, rtol=1e-3)
    assert float(exact.abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ["resnet", "convnext"])
def test_eap_ig_at_one_step_is_eap(kind: str) -> None:
    cnn = problem(kind)
    torch.testing.assert_close(eap_ig(cnn, steps=1).scores, eap(cnn).scores)
    assert not torch.allclose(eap_ig(cnn).scores, eap(cnn).scores, rtol=1e-2)


@pytest.mark.parametrize("technique", [random, gradient_x_activation, node_patching])
def test_answers_fit_the_graph(technique: object) -> None:
    cnn = problem("convnext")
    assert callable(technique)
    scores = technique(cnn).scores
    assert scores.shape == cnn.graph.shape
    assert bool(torch.isfinite(scores[cnn.graph.valid]).all())
    assert float(scores[cnn.graph.valid].std()) > 0


def test_what_reads_weights_of_heads_declines_a_cnn() -> None:
    needs = next(t for t in CATALOGUE.techniques.values() if t.function is weight_composition).needs
    for kind in ("resnet", "convnext"):
        assert "not " + kind in (needs.unmet_by("image", kind, 1) or "")
    for kind in ("native", "gpt2", "llama", "qwen2", "neox", "vit", "eva"):
        assert needs.unmet_by("lm", kind, 1) is None
