"""Maps of a convolutional layer, weighted place by place, to higher order, or by what they do alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.attribution.grad_cam import deepest_wide, wide_sites
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique

_CNNS = Needs(modalities=("image",), kinds=("resnet", "convnext"))
_BATCH = 64
_SCALE = 2.0  # the paper's, of the shallow maps before they are merged


@technique(
    cites="Jiang et al. 2021, LayerCAM: exploring hierarchical class activation maps, equations 6 to 9",
    access="gradients",
    cost="2 forwards + 1 backward",
    needs=_CNNS,
)
def layer_cam(problem: AttributionProblem) -> Saliency:
    """Maps weighted by their positive gradient at each place; all layers wide enough, the largest of them."""
    sites = wide_sites(problem)
    maps, gradients = _maps(problem, sites)
    merged: Tensor | None = None
    for activation, gradient in zip(maps, gradients, strict=True):
        found = (gradient.clamp_min(0) * activation).sum(1).clamp_min(0)
        largest = found.flatten(1).amax(1)[:, None, None].clamp_min(1e-12)
        scaled = _enlarged(torch.tanh(_SCALE * found / largest), problem)
        merged = scaled if merged is None else torch.maximum(merged, scaled)
    assert merged is not None
    return Saliency(values=merged)


@technique(
    cites="Chattopadhay et al. 2018, Grad-CAM++, equations 5, 12 and 19",
    access="gradients",
    cost="2 forwards + 1 backward",
    needs=_CNNS,
)
def grad_cam_plus_plus(problem: AttributionProblem) -> Saliency:
    """Maps weighted by their positive gradients, those of places that few maps share counting more."""
    (maps,), (gradients,) = _maps(problem, [deepest_wide(problem)])
    squares = gradients.square()
    shared = 2 * squares + maps.sum((2, 3), keepdim=True) * gradients * squares
    alpha = torch.where(shared == 0, 0, squares / torch.where(shared == 0, 1, shared))
    # The paper explains exp(logit); its factor in the gradient is the same for all maps of an input.
    weights = (alpha * gradients.clamp_min(0)).sum((2, 3), keepdim=True)
    return Saliency(values=_enlarged((weights * maps).sum(1).clamp_min(0), problem))


@technique(
    cites="Wang et al. 2020, Score-CAM: score-weighted visual explanations, algorithm 1",
    access="activations",
    cost="channels + 2 forwards an input",
    needs=_CNNS,
    quick=Needs(max_params=50_000),
)
def score_cam(problem: AttributionProblem) -> Saliency:
    """Maps weighted by the softmax over maps of the logit that the input keeps behind each of them."""
    maps = _square(problem.model.activations(problem.inputs, deepest_wide(problem))).clamp_min(0)
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    masks = (maps - low) / (high - low).clamp_min(1e-12)
    n, channels, *_ = masks.shape
    large = functional.interpolate(masks, size=problem.shape[-2:], mode="bilinear", align_corners=False)
    rows = torch.arange(n, device=maps.device).repeat_interleave(channels)
    found = []
    with torch.no_grad():
        for row, mask in zip(rows.split(_BATCH), large.flatten(0, 1)[:, None].split(_BATCH), strict=True):
            share = mask.to(problem.inputs.dtype)
            shown = share * problem.inputs[row] + (1 - share) * problem.reference[row]
            found.append(problem.logit(shown, problem.outputs[row]))
        reference = problem.logit(problem.reference).float()
    weights = (torch.cat(found).float().view(n, channels) - reference[:, None]).softmax(1)
    return Saliency(values=_enlarged((weights[:, :, None, None] * maps).sum(1).clamp_min(0), problem))


def _maps(problem: AttributionProblem, sites: list[str]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the maps (n, channel, height, width) at sites, and the gradients of the logits in them.

    The papers' maps come out of a ReLU; those of a ConvNeXt do not, and are cut off at 0.
    """
    pixels = problem.features().detach().requires_grad_()
    with problem.model.record(*sites) as cache:
        logit = problem.logit(pixels)
    values = [cache[site] for site in sites]
    gradients = torch.autograd.grad(logit.sum(), values)
    return [_square(v.detach()).clamp_min(0) for v in values], [_square(g) for g in gradients]


def _square(values: Tensor) -> Tensor:
    """Lay out (n, position, channel) as (n, channel, height, width), in float32."""
    side = math.isqrt(values.shape[1])
    laid: Tensor = values.float().transpose(1, 2).unflatten(2, (side, side))
    return laid


def _enlarged(values: Tensor, problem: AttributionProblem) -> Tensor:
    """Enlarge (n, h, w) to the pixels."""
    size = problem.shape[-2:]
    return functional.interpolate(values[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
