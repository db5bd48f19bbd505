"""Other backward passes, by hand: LRP rules, GIM, and AtP* against what it approximates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from interp_bench.model.attention import attention_patterns, record_patterns
from interp_bench.model.backward_rules import frozen_norms, linear_activations, scaled_gradients
from interp_bench.model.handle import Model
from interp_bench.techniques.circuits.atp_star import atp_star
from interp_bench.techniques.circuits.gradients import attribution_patching, eap
from interp_bench.techniques.circuits.patching import activation_patching
from interp_bench.techniques.circuits.propagation import gim, relp, softened
from tests.circuit_toys import linear_problem, small_problem
from tests.model.conftest import build, sample


def toy() -> Model:
    """LayerNorm of two numbers, two ReLUs, and their sum."""
    spec = build("native").spec
    norm, hidden, out = nn.LayerNorm(2, eps=0.0), nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    norm.weight.data = torch.tensor([1.0, 2.0])
    hidden.weight.data = torch.tensor([[2.0, 0.5], [-1.0, 1.0]])
    out.weight.data = torch.tensor([[3.0, 5.0]])
    return Model(spec, nn.Sequential(norm, hidden, nn.ReLU(), out).requires_grad_(False))


def test_relp_of_a_norm_and_a_relu_by_hand() -> None:
    """x = (3, 1): centred (1, -1), scale 1, normed (1, -2), hidden (1, -3), relu (1, 0), output 3.

    With the scale constant the coefficient of the normed values is 3 (2, .5) = (6, 1.5), times the
    weights (6, 3), centred (1.5, -1.5); coefficients times inputs add up to the output.
    """
    x = torch.tensor([[3.0, 1.0]], requires_grad=True)
    model = toy()
    with frozen_norms(model), linear_activations(model):
        y = model(x)
        (coefficients,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(y, torch.tensor([[3.0]]))
    torch.testing.assert_close(coefficients, torch.tensor([[1.5, -1.5]]))
    assert float((coefficients * x.detach()).sum()) == pytest.approx(3.0)
    (slope,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(slope, torch.zeros(1, 2))  # of two numbers a LayerNorm knows the order only


@pytest.mark.parametrize("kind", ["gpt2", "llama", "vit"])
def test_relevance_is_conserved(kind: str) -> None:
    """Under all four rules a network without biases is linear: inputs times coefficients are the output."""
    problem = small_problem(kind)
    for name, weight in problem.model.module.named_parameters():
        if "bias" in name:
            weight.data.zero_()
    root = problem.writes(problem.clean).parts["input"].requires_grad_()

    def edit(layer: int, scores: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
        return pattern.detach()

    model = problem.model
    with frozen_norms(model), linear_activations(model), attention_patterns(model, edit):
        metric = problem.metric(problem.held_logits({"input": root})).sum()
        (coefficients,) = torch.autograd.grad(metric, root)
    whole = problem.metric(model.logits(problem.clean)).sum()
    torch.testing.assert_close(metric.detach(), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close((coefficients * root).sum().detach(), whole, rtol=1e-3, atol=1e-4)
    (slope,) = torch.autograd.grad(problem.metric(problem.held_logits({"input": root})).sum(), root)
    assert abs(float((slope * root).sum() - whole)) > 1e-2


def test_relp_scores_no_queries_unless_told_to() -> None:
    problem = small_problem("gpt2")
    queries = [d.letter in "qk" for d in problem.graph.destinations]
    assert not relp(problem).scores[:, queries].any()
    assert relp(problem, frozen_patterns=False).scores[:, queries].any()


def test_a_softer_gradient_by_hand() -> None:
    """Scores (0, ln 4): at temperature 2 the softmax is (1/3, 2/3), its Jacobian row (2/9, -2/9)."""
    scores = torch.tensor([1.0, 4.0]).log().requires_grad_()
    pattern = torch.softmax(scores, -1)
    soft = softened(pattern, scores, 2.0, 0.5)
    torch.testing.assert_close(soft, torch.tensor([0.2, 0.8]))
    (slope,) = torch.autograd.grad(soft[0], scores)
    torch.testing.assert_close(slope, torch.tensor([1 / 9, -1 / 9]))
    (plain,) = torch.autograd.grad(softened(torch.softmax(scores, -1), scores, 1.0, 1.0)[0], scores)
    torch.testing.assert_close(plain, torch.tensor([0.16, -0.16]))


@pytest.mark.parametrize("kind", ["native", "llama"])
def test_rules_leave_the_forward_and_the_model_as_they_were(kind: str) -> None:
    problem = small_problem(kind)
    model, before = problem.model, eap(problem).scores
    with frozen_norms(model), linear_activations(model), scaled_gradients(model, 0.5):
        changed = model(problem.clean)
    torch.testing.assert_close(changed, model(problem.clean), rtol=1e-5, atol=1e-5)
    for technique in (gim, relp, atp_star):
        technique(problem)
        torch.testing.assert_close(eap(problem).scores, before)
    assert not any("forward" in module.__dict__ for module in model.module.modules())


def test_gim_halves_gradients_of_values_and_quarters_those_of_queries() -> None:
    """Into the last layer, where nothing else comes between, and at temperature 1."""
    problem = small_problem("gpt2")
    with frozen_norms(problem.model):
        frozen = attribution_patching(problem)
    by_gim = gim(problem, temperature=1.0).scores
    for letter, factor in (("q", 0.25), ("k", 0.25), ("v", 0.5), ("m", 1.0), ("o", 1.0)):
        last = [d.letter == letter and d.layer in (2, None) for d in problem.graph.destinations]
        torch.testing.assert_close(by_gim[:, last], frozen[:, last] * factor, rtol=1e-3, atol=1e-6)


def test_patterns_are_those_of_the_network() -> None:
    model = build("llama")
    patterns = record_patterns(model, sample(model, 0))
    assert [p.shape for p in patterns] == [(3, 4, 9, 9)] * 3
    torch.testing.assert_close(patterns[0].sum(-1), torch.ones(3, 4, 9))
    assert float(patterns[1].triu(1).abs().max()) == 0.0


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_qk_fix_is_exact_in_the_last_layer(kind: str) -> None:
    """Behind it everything is linear, so that the recomputed pattern gives the effect of patching itself.

    Dropping the last layer's gradient leaves nothing; the other passes agree, and their mean is divided
    by one less than their number.
    """
    problem = small_problem(kind, 1)
    problem.model.transformer.blocks[-1].mlp_out.module.weight.data.zero_()  # type: ignore[union-attr, operator]
    problem.model.transformer.final_norm.forward = torch.clone
    exact, fixed, linear = activation_patching(problem).scores, atp_star(problem).scores, eap(problem).scores
    last = [d.letter in "qk" and d.layer == 2 for d in problem.graph.destinations]
    torch.testing.assert_close(fixed[:, last], exact[:, last].abs(), rtol=1e-3, atol=1e-5)
    assert not torch.allclose(linear[:, last].abs(), exact[:, last].abs(), rtol=0.05)


def test_dropped_gradients_are_those_of_a_network_without_the_layer() -> None:
    """On a linear network, for what the input writes: the mean over layers made silent, twice counted."""
    problem = linear_problem(1)
    wanted = torch.zeros(problem.graph.shape[1])
    for layer in range(3):
        without = linear_problem(1)
        without.model.transformer.blocks[layer].out.zero()
        wanted += eap(without).scores[0].abs() / 2
    values = [d.letter not in "qk" for d in problem.graph.destinations]
    torch.testing.assert_close(atp_star(problem).scores[0, values], wanted[values], rtol=1e-3, atol=1e-5)
    assert float(wanted.max()) > 0.01
