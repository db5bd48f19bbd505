"""Every attribution technique keeps its contract, and those with a closed form give it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captum.attr import IntegratedGradients, Occlusion
from torch import Tensor, nn

from interp_bench.harness.discovery import load_packages
from interp_bench.registry import load_registry
from interp_bench.techniques.attribution import attention_rollout as _rollout
from interp_bench.techniques.attribution import grad_cam as _grad_cam
from interp_bench.techniques.attribution import gradients, guess, occlusion, trivial
from interp_bench.tracks.attribution import TRACK, AttributionProblem, Saliency
from interp_bench.tracks.catalogue import CATALOGUE
from tests.attribution_toys import planted, toy_problem

load_packages(["interp_bench.techniques.attribution"])
TECHNIQUES = sorted(t.name for t in CATALOGUE.techniques.values() if t.track is TRACK)


def runs_on(technique: str, name: str) -> Callable[..., Saliency] | None:
    spec = load_registry().get(name)
    entry = CATALOGUE.techniques[f"attribution/{technique}"]
    return None if entry.needs.unmet_by(spec.modality, spec.kind, spec.params) else entry.function


def test_the_floor_and_all_families_are_registered() -> None:
    assert {"random", "saliency", "integrated_gradients", "occlusion", "grad_cam", "attention_rollout"} <= {
        *TECHNIQUES
    }
    assert CATALOGUE.floor_of("attribution").function is guess.random


@pytest.mark.parametrize(
    ("technique", "name", "least"),
    [
        ("integrated_gradients", "native-30k", 0.6),
        ("integrated_gradients", "convnext-slim-20k", 0.3),
        ("input_x_gradient", "resnet18", 0.7),
        ("occlusion", "vit-slim-200k", 0.9),
        ("attention_rollout", "vit-slim-200k", 0.9),
        ("grad_cam", "resnet18", 0.3),
        ("saliency", "vit-slim-200k", 0.9),
        ("deep_lift", "native-30k", 0.6),
        ("deep_lift", "vit-slim-200k", 0.6),
        ("lrp", "convnext-slim-20k", 0.7),
        ("lrp", "resnet18", 0.9),
        ("attn_lrp", "native-30k", 0.6),
        ("attn_lrp", "vit-slim-200k", 0.9),
        ("attention_x_gradient", "native-30k", 0.5),
        ("attention_x_gradient", "vit-slim-200k", 0.9),
        ("gradient_shap", "native-30k", 0.5),
        ("kernel_shap", "native-30k", 0.9),
        ("lime", "native-30k", 0.8),
        ("rise", "convnext-slim-20k", 0.6),
        ("feature_ablation", "convnext-slim-20k", 0.05),
        ("layer_cam", "resnet18", 0.2),
        ("grad_cam_plus_plus", "convnext-slim-20k", 0.2),
        ("score_cam", "convnext-slim-20k", 0.3),
        ("deconvolution", "resnet18", 0.03),
    ],
)
def test_a_technique_finds_the_evidence(technique: str, name: str, least: float) -> None:
    function = runs_on(technique, name)
    assert function is not None
    case = planted(name)
    assert TRACK.score(case.problem, case.truth, function(case.problem))["average_precision"] >= least


# ------------------------------------------------------------------ closed forms
class Linear(nn.Module):
    """Logit k is the inner product of the pixels with weight k."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 3, 16, 16, generator=generator), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.einsum("kchw,nchw->nk", self.weight, pixels)


class Squares(Linear):
    """Logit k is the weighted sum of squared pixels."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels**2)


def problem_of(module: nn.Module, reference: float = 0.0) -> AttributionProblem:
    inputs = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return toy_problem(module, inputs, (2, 0), reference)


def chosen(problem: AttributionProblem) -> Tensor:
    weight = problem.model.module.weight
    assert isinstance(weight, Tensor)
    return weight[problem.outputs]


def test_input_x_gradient_of_a_linear_model_is_weight_times_input() -> None:
    problem = problem_of(Linear())
    expected = (chosen(problem) * problem.inputs).sum(1)
    torch.testing.assert_close(gradients.input_x_gradient(problem).values, expected)


def test_saliency_of_a_linear_model_is_its_largest_weight() -> None:
    problem = problem_of(Linear())
    expected = chosen(problem).abs().amax(1)
    torch.testing.assert_close(gradients.saliency(problem).values, expected)
    torch.testing.assert_close(gradients.smooth_grad(problem).values, expected)


def test_integrated_gradients_are_complete() -> None:
    problem = problem_of(Squares(), reference=0.5)
    values = gradients.integrated_gradients(problem).values
    rise = problem.logit(problem.inputs) - problem.logit(problem.reference)
    torch.testing.assert_close(values.sum((1, 2)), rise, rtol=1e-4, atol=1e-3)
    expected = (chosen(problem) * (problem.inputs**2 - 0.25)).sum(1)
    torch.testing.assert_close(values, expected, rtol=1e-3, atol=1e-3)


def test_integrated_gradients_of_tokens_are_complete() -> None:
    problem = planted("native-30k").problem
    values = gradients.integrated_gradients(problem, n_steps=64).values
    with torch.no_grad():
        rise = problem.logit(problem.inputs) - problem.logit(problem.reference)
    torch.testing.assert_close(values.sum(1), rise, rtol=0.1, atol=0.3)


def test_occlusion_of_a_linear_model_is_the_sum_over_each_square() -> None:
    problem = problem_of(Linear())
    values = occlusion.occlusion(problem, windows=4).values
    share = (chosen(problem) * problem.inputs).sum(1).view(2, 4, 4, 4, 4).sum((2, 4))
    pixels = share.repeat_interleave(4, 1).repeat_interleave(4, 2)
    # The fall of the logit stands on every pixel of its square.
    torch.testing.assert_close(values, pixels, rtol=1e-4, atol=1e-4)


def test_occlusion_of_tokens_is_the_fall_of_the_logit() -> None:
    problem = planted("native-30k").problem
    values = occlusion.occlusion(problem).values
    swapped = problem.inputs.clone()
    swapped[:, 3] = problem.reference[:, 3]
    with torch.no_grad():
        fall = problem.logit(problem.inputs) - problem.logit(swapped)
    torch.testing.assert_close(values[:, 3], fall, rtol=1e-4, atol=1e-4)


def test_wrappers_give_what_captum_gives() -> None:
    problem = planted("convnext-slim-20k").problem
    features = problem.features().requires_grad_()
    direct = IntegratedGradients(problem.feature_logit).attribute(
        features, baselines=torch.zeros_like(features), additional_forward_args=problem.outputs, n_steps=16
    )
    torch.testing.assert_close(
        gradients.integrated_gradients(problem).values, direct.detach().sum(1), rtol=1e-3, atol=1e-5
    )
    occluded = Occlusion(problem.logit).attribute(
        problem.inputs, (3, 8, 8), (3, 8, 8), 0, additional_forward_args=problem.outputs
    )
    torch.testing.assert_close(occlusion.occlusion(problem).values, occluded.detach()[:, 0])


# ------------------------------------------------------------------ the rest
def test_rollout_is_the_product_of_half_identity_patterns() -> None:
    problem = planted("vit-slim-200k").problem
    values = _rollout.attention_rollout(problem).values
    blocks = [part.attn for part in problem.model.module.blocks]  # type: ignore[union-attr]
    seen: list[Tensor] = []
    handles = [b.attn_drop.register_forward_hook(lambda m, a, out: seen.append(out)) for b in blocks]
    with torch.no_grad():
        problem.model(problem.inputs)
    for handle in handles:
        handle.remove()
    product = torch.eye(seen[0].shape[-1])
    for pattern in seen:
        product = (0.5 * pattern.mean(1) + 0.5 * torch.eye(pattern.shape[-1])) @ product
    patches = product[:, 0, 1:].view(-1, 8, 8)
    torch.testing.assert_close(values[:, ::8, ::8], patches)
    torch.testing.assert_close(values[:, 7::8, 7::8], patches)


def test_grad_cam_reads_the_deepest_map_that_is_wide_enough() -> None:
    # 64 pixels: maps of 16, 8, 4 and 2 positions a side.
    assert _grad_cam.deepest_wide(planted("resnet18").problem) == "layer2.1"
    assert bool((_grad_cam.grad_cam(planted("resnet18").problem).values >= 0).all())


def test_the_edge_detector_sees_an_edge_and_the_centre_map_the_centre() -> None:
    problem = problem_of(Linear())
    problem.inputs.zero_()
    problem.inputs[:, :, :, 8:] = 1
    values = trivial.edge_detector(problem).values[0]
    assert float(values[5, 7]) == float(values[5, 8]) == pytest.approx(48**0.5)
    assert float(values[:, :7].abs().sum() + values[:, 9:].abs().sum()) == 0.0
    centre = trivial.centre_map(problem).values[0]
    assert torch.equal(centre, centre.flip(0))
    assert float(centre.max()) == float(centre[7, 7])


def test_the_embedding_norm_is_the_length_of_each_embedding() -> None:
    problem = planted("native-30k").problem
    table = problem.model.transformer.token_embedding.weight
    assert isinstance(table, Tensor)
    torch.testing.assert_close(trivial.embedding_norm(problem).values, table[problem.inputs].norm(dim=-1))


def test_forwards_and_backwards_are_counted() -> None:
    problem = planted("native-30k").problem
    meter = problem.model.meter
    forwards, backwards = meter.forwards, meter.backwards
    gradients.saliency(problem)
    assert (meter.forwards - forwards, meter.backwards - backwards) == (1, 1)
