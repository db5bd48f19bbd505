"""DeepLIFT equals captum's where captum has a rule, and is complete on every kind of network."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from captum.attr import DeepLift
from torch import Tensor, nn
from torch.nn import functional

from interp_bench.techniques.attribution.deep_lift import deep_lift
from interp_bench.techniques.attribution.rescale import rescale_rules
from interp_bench.techniques.attribution.rules import Rules
from tests.attribution_toys import planted, toy_problem
from tests.relevance_toy import OUTPUTS, pixels, relu_network

RULES = rescale_rules()


def curved() -> nn.Sequential:
    """The ReLU network with tanh in the place of ReLU."""
    first, _, second, _, flatten, last = relu_network()
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), flatten, last)


def pooled(*, curve: bool = False) -> nn.Sequential:
    """The ReLU network with a max pool in the place of its second stride."""
    first, relu, second, _, flatten, last = relu_network()
    assert isinstance(second, nn.Conv2d)
    second.stride = (1, 1)
    # 8 pixels, 6 after the second convolution, 3 after the pool.
    return nn.Sequential(first, relu, second, *[nn.Tanh()] * curve, nn.MaxPool2d(2), flatten, last)


@pytest.mark.parametrize("build", [relu_network, curved, pooled])
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_values_are_those_of_captum(build: Callable[[], nn.Module]) -> None:
    problem = toy_problem(build(), pixels(), OUTPUTS, reference=0.2)
    captum = DeepLift(build()).attribute(
        pixels().requires_grad_(), baselines=problem.reference, target=problem.outputs
    )
    torch.testing.assert_close(deep_lift(problem).values, captum.detach().sum(1), rtol=1e-4, atol=1e-5)


def test_a_pool_behind_a_curve_is_complete() -> None:
    # captum 0.9's values add up to 0.310 and -1.074 here, the differences are 0.303 and -1.062.
    problem = toy_problem(pooled(curve=True), pixels(), OUTPUTS, reference=0.2)
    rise = problem.logit(problem.inputs) - problem.logit(problem.reference)
    torch.testing.assert_close(deep_lift(problem).values.sum((1, 2)), rise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["native-30k", "vit-slim-200k", "convnext-slim-20k", "resnet18"])
def test_values_add_up_to_the_rise_of_the_logit(name: str) -> None:
    problem = planted(name).problem
    with torch.no_grad():
        logit, reference = (
            problem.feature_logit(f) for f in (problem.features(), problem.reference_features())
        )
    total = deep_lift(problem).values.flatten(1).sum(1)
    torch.testing.assert_close(total, logit - reference, rtol=1e-3, atol=1e-3)


def multipliers(function: object, *pairs: tuple[Tensor, Tensor], of: int) -> list[list[float]]:
    """Return the multipliers of each input of one output element; pairs are an input and its reference."""
    leaves = [torch.stack(pair).requires_grad_() for pair in pairs]
    with Rules(RULES):
        out = function(*leaves)  # type: ignore[operator]
    found = torch.autograd.grad(out.flatten(1)[:, of].sum(), leaves)
    for gradient in found:
        torch.testing.assert_close(gradient[0], gradient[1])
    return [gradient[0].flatten().tolist() for gradient in found]


def test_a_curve_has_its_slope_from_the_reference_to_the_input() -> None:
    x, reference = torch.tensor([3.0, -2.0, 1.0]), torch.tensor([-1.0, -1.0, 1.0])
    # relu: (3 - 0) / 4; both below 0; no difference: the slope at the point.
    for at, slope in enumerate([0.75, 0.0, 1.0]):
        found = multipliers(functional.relu, (x, reference), of=at)[0]
        assert found == pytest.approx([slope if i == at else 0.0 for i in range(3)])


def test_a_product_has_the_mean_of_the_other_factor() -> None:
    # 3 * 5 against 1 * 2: 13 = (3 - 1) * 3.5 + (5 - 2) * 2.
    pairs = [(torch.tensor([3.0]), torch.tensor([1.0])), (torch.tensor([5.0]), torch.tensor([2.0]))]
    assert multipliers(lambda a, b: a * b, *pairs, of=0) == [[3.5], [2.0]]


def test_softmax_of_two_is_a_logistic_function_of_their_difference() -> None:
    x, reference = torch.tensor([2.0, 1.0]), torch.tensor([-1.0, 0.5])
    rise = 1 / (1 + math.exp(-1)) - 1 / (1 + math.exp(1.5))
    # The difference grew from -1.5 to 1.
    found = multipliers(lambda scores: functional.softmax(scores, dim=-1), (x, reference), of=0)[0]
    assert found == pytest.approx([rise / 2.5, -rise / 2.5])
    hidden = (torch.tensor([2.0, 1.0, -math.inf]), torch.tensor([-1.0, 0.5, -math.inf]))
    masked = multipliers(lambda scores: scores.softmax(-1), hidden, of=0)[0]
    assert masked == pytest.approx([rise / 2.5, -rise / 2.5, 0.0])


def test_a_norm_is_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    x, reference = torch.randn(2, 4, generator=generator)
    found = multipliers(lambda v: functional.layer_norm(v, (4,)), (x, reference), of=2)[0]
    rise = functional.layer_norm(x, (4,)) - functional.layer_norm(reference, (4,))
    assert float(torch.tensor(found) @ (x - reference)) == pytest.approx(float(rise[2]), rel=1e-4)
