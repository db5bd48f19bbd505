"""Relevance propagation equals zennit's and captum's, is conserved, and follows the rules of its papers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from captum.attr import LRP
from torch import Tensor, nn
from torch.nn import functional

from interp_bench.errors import InterpBenchError
from interp_bench.techniques.attribution.attn_lrp import attn_lrp
from interp_bench.techniques.attribution.gradients import input_x_gradient
from interp_bench.techniques.attribution.lrp import lrp
from interp_bench.techniques.attribution.relevance import relevance_rules
from interp_bench.techniques.attribution.rules import Rules
from interp_bench.tracks.attribution import AttributionProblem
from tests.attribution_toys import planted, toy_problem
from tests.relevance_toy import OUTPUTS, pixels, relu_network

ZENNIT = json.loads((Path(__file__).parents[1] / "references" / "zennit_values.json").read_text("utf-8"))
RULES = relevance_rules(epsilon=1e-9)


class WithoutFlatten(nn.Module):
    """The network without the module that captum has no rule for."""

    def __init__(self) -> None:
        super().__init__()
        *parts, _, self.last = relu_network()
        self.convolutions = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.last(self.convolutions(images).flatten(1))
        return out


def question(network: nn.Module) -> AttributionProblem:
    return toy_problem(network, pixels(), OUTPUTS)


@pytest.mark.parametrize("composite", ["gamma_box", "gamma", "epsilon"])
def test_relevance_is_that_of_zennit(composite: str) -> None:
    values = lrp(question(relu_network()), composite=composite).values
    torch.testing.assert_close(values, torch.tensor(ZENNIT[composite]).view(2, 8, 8), rtol=1e-4, atol=2e-6)


def test_the_epsilon_rule_is_that_of_captum() -> None:
    problem = question(relu_network())
    captum = LRP(WithoutFlatten()).attribute(pixels().requires_grad_(), target=problem.outputs)
    ours = lrp(problem, composite="epsilon", epsilon=1e-9).values
    torch.testing.assert_close(ours, captum.detach().sum(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("composite", ["gamma_box", "gamma", "epsilon"])
def test_relevance_is_conserved_without_biases(composite: str) -> None:
    problem = question(relu_network(bias=False))
    total = lrp(problem, composite=composite).values.sum((1, 2))
    torch.testing.assert_close(total, problem.logit(problem.inputs), rtol=1e-4, atol=1e-5)


def test_lrp_0_is_gradient_times_input_without_biases() -> None:
    problem = question(relu_network(bias=False))
    values = lrp(problem, composite="epsilon", epsilon=0.0).values
    torch.testing.assert_close(values, input_x_gradient(problem).values, rtol=1e-4, atol=1e-6)


def test_a_batch_norm_is_a_part_of_the_convolution_before_it() -> None:
    plain = relu_network()
    normed = nn.Sequential(plain[0], nn.BatchNorm2d(4), *plain[1:]).eval()
    norm = normed[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_mean = torch.tensor([0.3, -0.2, 0.1, 0.0])
    norm.running_var = torch.tensor([2.0, 0.5, 1.0, 3.0])
    norm.weight.data = torch.tensor([1.5, -1.0, 0.5, 2.0])
    norm.bias.data = torch.tensor([0.1, 0.2, -0.3, 0.0])
    merged = relu_network()
    scale = norm.weight.data / (norm.running_var + norm.eps).sqrt()
    first = merged[0]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    first.weight.data *= scale[:, None, None, None]
    first.bias.data = norm.bias.data + (first.bias.data - norm.running_mean) * scale
    for composite in ("gamma_box", "gamma"):
        expected = lrp(question(merged), composite=composite).values
        torch.testing.assert_close(
            lrp(question(normed), composite=composite).values, expected, rtol=1e-4, atol=1e-6
        )


def test_a_composite_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InterpBenchError, match="one of gamma_box, gamma, epsilon"):
        lrp(question(relu_network()), composite="alpha")


# ------------------------------------------------------------------ AttnLRP, by hand
def relevance(function: object, *inputs: Tensor, of: int) -> list[list[float]]:
    """Return the relevance of each input for one element of the output, where it starts as its value."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    with Rules(RULES):
        out = function(*leaves)  # type: ignore[operator]
    found = torch.autograd.grad(out.flatten()[of], leaves)
    return [(x.detach() * g).flatten().tolist() for x, g in zip(leaves, found, strict=True)]


def test_softmax_gives_back_what_its_proposition_says() -> None:
    # x = ln(1), ln(2), ln(5), so that s = 1/8, 2/8, 5/8.
    # Proposition 3.1: R_i = x_i (R_i - s_i sum(R)), where R = (0, 1/4, 0) comes in.
    x = torch.tensor([1.0, 2.0, 5.0]).log()
    expected = [0.0, 2**-2 * float(x[1]) * (1 - 2 / 8), -(2**-2) * float(x[2]) * 5 / 8]
    (found,) = relevance(lambda scores: functional.softmax(scores, dim=-1), x, of=1)
    assert found == pytest.approx(expected)


def test_a_product_of_matrices_gives_half_to_each() -> None:
    # o = [1 2] @ [[3], [4]] = 11: the terms are 3 and 8, and either factor gets half of each.
    a, v = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [4.0]])
    assert relevance(torch.matmul, a, v, of=0) == [[1.5, 4.0], [1.5, 4.0]]
    assert relevance(lambda x, y: x @ y, a, v, of=0) == [[1.5, 4.0], [1.5, 4.0]]
    # A gate and what it lets through share alike; a constant factor takes nothing.
    assert relevance(lambda x, y: x * y, a, 2 * a, of=1) == [[0.0, 4.0], [0.0, 4.0]]
    assert relevance(lambda x: x * torch.tensor([[5.0, 6.0]]), a, of=1) == [[0.0, 12.0]]


def test_norms_and_activations_pass_relevance_on() -> None:
    x, weight, bias = torch.tensor([[3.0, -1.0, 1.0]]), torch.tensor([2.0, 1.0, 1.0]), torch.ones(3)
    # Centred: 2, -2, 0; variance 8/3. Output 0 without its bias: 2 * 2 / sqrt(8/3); it reads x - mean(x).
    scale = 2 / (8 / 3) ** 0.5
    (found,) = relevance(lambda v: functional.layer_norm(v, (3,), weight, bias, 0.0), x, of=0)
    assert found == pytest.approx([scale * 3 * 2 / 3, scale / 3, -scale / 3], rel=1e-5)
    (found,) = relevance(functional.gelu, x, of=0)
    assert found == pytest.approx([float(functional.gelu(x)[0, 0]), 0, 0])
    (found,) = relevance(lambda v: v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True)), x, of=1)
    assert found == pytest.approx([0, -1 / (11 / 3) ** 0.5, 0], rel=1e-5)


def test_fused_attention_is_spelled_out() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 3, 4, generator=generator) for _ in range(3))

    def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q @ k.transpose(-2, -1)) / 2
        mask = torch.ones(3, 3, dtype=torch.bool).tril()
        return functional.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1) @ v

    def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    torch.testing.assert_close(fused(q, k, v), by_hand(q, k, v))
    for ours, theirs in zip(
        relevance(fused, q, k, v, of=11), relevance(by_hand, q, k, v, of=11), strict=True
    ):
        assert ours == pytest.approx(theirs, abs=1e-6)
    # Products hand on halves: scores get half, a query half of that.
    totals = [sum(values) for values in relevance(fused, q, k, v, of=11)]
    assert totals[2] == pytest.approx(float(fused(q, k, v).flatten()[11]) / 2, rel=1e-4)


@pytest.mark.parametrize("name", ["native-30k", "vit-slim-200k"])
def test_rules_change_no_output(name: str) -> None:
    problem = planted(name).problem
    features = problem.features()
    with torch.no_grad():
        expected = problem.feature_logit(features)
    with Rules(RULES):
        found = problem.feature_logit(features.requires_grad_())
    torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-4)
    assert bool(attn_lrp(problem).values.isfinite().all())
