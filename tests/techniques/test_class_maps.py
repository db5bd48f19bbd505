"""Maps of layers, of attention and of ReLUs: what their equations give, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captum.attr import Deconvolution, GradientShap, GuidedBackprop
from torch import Tensor

from interp_bench.techniques.attribution import class_maps, gradients, relu_backprop
from interp_bench.techniques.attribution.attention_rollout import attention_rollout
from interp_bench.techniques.attribution.attention_x_gradient import attention_x_gradient
from interp_bench.techniques.attribution.patterns import attention_patterns
from interp_bench.techniques.attribution.trivial import first_mlp, pixel_norm, rarest_token
from interp_bench.tracks.attribution import AttributionProblem
from tests.attribution_toys import planted

# Two maps of 1 x 2 places, and the gradient of the logit in each.
MAPS = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
GRADIENTS = torch.tensor([[[[2.0, -1.0]], [[1.0, 4.0]]]])


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> AttributionProblem:
    """The maps above in the place of a network's, not enlarged."""
    problem = planted("convnext-slim-20k").problem
    monkeypatch.setattr(
        class_maps, "_maps", lambda problem, sites: ([MAPS] * len(sites), [GRADIENTS] * len(sites))
    )
    monkeypatch.setattr(class_maps, "_enlarged", lambda values, problem: values)
    return problem


def test_layer_cam_weighs_each_place_by_its_positive_gradient(by_hand: AttributionProblem) -> None:
    # 2 * 1 + 1 * 3 = 5 and 0 * 2 + 4 * 0 = 0; tanh(2 * 5 / 5).
    expected = torch.tensor([[[2.0, 0.0]]]).tanh()
    torch.testing.assert_close(class_maps.layer_cam(by_hand).values, expected)


def test_grad_cam_plus_plus_has_the_weights_of_its_equation(by_hand: AttributionProblem) -> None:
    # alpha = g^2 / (2 g^2 + sum(A) g^3), both maps with sum 3; w = sum(alpha relu(g)).
    first = 4 / (8 + 3 * 8) * 2
    second = 1 / (2 + 3) * 1 + 16 / (32 + 3 * 64) * 4
    expected = torch.tensor([[[first * 1 + second * 3, first * 2]]])
    torch.testing.assert_close(class_maps.grad_cam_plus_plus(by_hand).values, expected)


def test_score_cam_weighs_maps_by_the_logit_behind_them() -> None:
    problem = planted("convnext-slim-20k").problem
    (maps,), _ = class_maps._maps(problem, ["stages.1.blocks.0"])
    spread = maps.amax((2, 3), keepdim=True) - maps.amin((2, 3), keepdim=True)
    masks = (maps - maps.amin((2, 3), keepdim=True)) / spread.clamp_min(1e-12)
    masks = torch.nn.functional.interpolate(masks, size=(64, 64), mode="bilinear", align_corners=False)
    with torch.no_grad():
        shown = problem.inputs[0] * masks[0, :, None]
        logits = problem.logit(shown, problem.outputs[:1].expand(len(shown)))
    weights = logits.softmax(0)
    expected = class_maps._enlarged((weights[:, None, None] * maps[0]).sum(0).clamp_min(0)[None], problem)
    torch.testing.assert_close(class_maps.score_cam(problem).values[:1], expected, rtol=1e-4, atol=1e-5)


def test_the_maps_of_a_cnn_are_its_activations_and_their_gradients() -> None:
    problem = planted("resnet18").problem
    (maps,), (slopes,) = class_maps._maps(problem, ["layer2.1"])
    seen: list[Tensor] = []
    module = problem.model.site("layer2.1").module
    handle = module.register_forward_hook(lambda m, a, out: seen.append(out))
    logit = problem.logit(problem.inputs.clone().requires_grad_())
    handle.remove()
    torch.testing.assert_close(maps, seen[0].detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(logit.sum(), seen[0])[0])


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
@pytest.mark.parametrize("kind", [Deconvolution, GuidedBackprop])
def test_relu_techniques_give_what_captum_gives(kind: Any) -> None:
    problem = planted("resnet18").problem
    expected = kind(problem.model.module).attribute(
        problem.inputs.clone().requires_grad_(), target=problem.outputs
    )
    ours = {Deconvolution: relu_backprop.deconvolution, GuidedBackprop: relu_backprop.guided_backprop}[kind]
    torch.testing.assert_close(ours(problem).values, expected.detach().abs().amax(1))


def test_gradient_shap_gives_what_captum_gives() -> None:
    problem = planted("convnext-slim-20k").problem
    with gradients._seeded(problem):
        expected = GradientShap(problem.feature_logit).attribute(
            problem.features().requires_grad_(),
            baselines=problem.reference_features(),
            additional_forward_args=problem.outputs,
            n_samples=1,
        )
    found = gradients.gradient_shap(problem, n_samples=1).values
    torch.testing.assert_close(found, expected.detach().sum(1))
    assert not torch.equal(gradients.gradient_shap(problem, n_samples=2).values, found)


# ------------------------------------------------------------------ attention
@pytest.mark.parametrize("name", ["native-30k", "vit-slim-200k"])
def test_patterns_are_those_of_the_network(name: str) -> None:
    problem = planted(name).problem
    with torch.no_grad():
        logit, patterns = attention_patterns(problem, problem.features())
        torch.testing.assert_close(logit, problem.logit(problem.inputs), rtol=1e-4, atol=1e-4)
    model, where = problem.model, "blocks.1.attn.hook_{}".format
    with torch.no_grad(), model.record(where("q"), where("k")) as cache:
        model(problem.inputs)
    heads, d_head = model.n_heads, model.transformer.d_head
    query, key = (cache[where(x)].unflatten(-1, (heads, d_head)).transpose(1, 2) for x in "qk")
    scores = query @ key.transpose(-2, -1) / d_head**0.5
    if model.modality == "lm":
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    torch.testing.assert_close(patterns[1], scores.softmax(-1), rtol=1e-4, atol=1e-5)


def test_attention_times_gradient_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # One input of two tokens, two layers of one head; the logit is linear in the patterns.
    first = torch.tensor([[[[1.0, 0.0], [0.25, 0.75]]]], requires_grad=True)
    second = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]], requires_grad=True)
    logit = (first * torch.tensor([[0.0, 0.0], [4.0, -8.0]])).sum() + second[0, 0, 1, 1] * 2
    seen = [logit[None], [first, second]]
    module = "interp_bench.techniques.attribution.attention_x_gradient.attention_patterns"
    monkeypatch.setattr(module, lambda problem, features: seen)
    # A x grad: [[0, 0], [1, -6 -> 0]], then [[0, 0], [0, 1]].
    # R = I + A1 = [[1, 0], [1, 1]], then R + A2 R: the last row becomes twice [1, 1].
    assert attention_x_gradient(planted("native-30k").problem).values.tolist() == [[2.0, 2.0]]


def test_rollout_of_tokens_reads_the_last_position() -> None:
    problem = planted("native-30k").problem
    with torch.no_grad():
        _, patterns = attention_patterns(problem, problem.features())
    product = torch.eye(problem.shape[-1])
    for pattern in patterns:
        product = (0.5 * pattern.mean(1) + 0.5 * torch.eye(problem.shape[-1])) @ product
    values = attention_rollout(problem).values
    torch.testing.assert_close(values, product[:, -1])
    torch.testing.assert_close(values.sum(1), torch.ones(len(values)))


# ------------------------------------------------------------------ trivial ones
def test_the_first_mlp_alone_is_a_network_without_attention() -> None:
    problem = planted("native-30k").problem
    model = problem.model
    # All attention and all later MLPs switched off.
    off = {f"blocks.{i}.hook_attn_out": torch.zeros_like for i in range(model.n_layers)}
    off |= {f"blocks.{i}.hook_mlp_out": torch.zeros_like for i in range(1, model.n_layers)}
    features = problem.features()
    with torch.no_grad(), model.patch(off), model.patch({"blocks.0.hook_resid_pre": features}):
        logits = model(problem.inputs)
    expected = logits.gather(2, problem.outputs[:, None, None].expand(-1, problem.shape[-1], 1))[..., 0]
    torch.testing.assert_close(first_mlp(problem).values, expected, rtol=1e-4, atol=1e-5)


def test_rare_tokens_and_strong_pixels_stand_out() -> None:
    problem = planted("native-30k").problem
    values = rarest_token(problem).values
    token = problem.inputs[1, 7]
    count = int((problem.inputs == token).sum() + (problem.reference == token).sum())
    assert float(values[1, 7]) == pytest.approx(-torch.tensor(float(count)).log().item())
    image = planted("convnext-slim-20k").problem
    torch.testing.assert_close(pixel_norm(image).values, image.inputs.square().sum(1).sqrt())
