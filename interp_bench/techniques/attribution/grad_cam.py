"""Grad-CAM, by captum."""

from __future__ import annotations

import math

import torch
from captum.attr import LayerAttribution, LayerGradCam

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique

_LEAST_SIDE = 7  # positions along one side of the map; the paper's networks end at 7 or 14


@technique(
    cites="Selvaraju et al. 2017, Grad-CAM; captum LayerGradCam",
    access="gradients",
    cost="1 forward + 1 backward",
    needs=Needs(modalities=("image",), kinds=("resnet", "convnext")),
)
def grad_cam(problem: AttributionProblem) -> Saliency:
    """Maps of the deepest block that is at least 7 positions wide, weighted by their mean gradient."""
    site = deepest_wide(problem)
    maps = LayerGradCam(problem.logit, problem.model.site(site).module).attribute(
        problem.inputs, additional_forward_args=problem.outputs, relu_attributions=True
    )
    height, width = problem.shape[-2:]
    enlarged = LayerAttribution.interpolate(maps.detach(), (height, width), "bilinear")
    return Saliency(values=enlarged[:, 0])


def deepest_wide(problem: AttributionProblem) -> str:
    """Return the last site whose map is wide enough, or the first site where none is."""
    return wide_sites(problem)[-1]


def wide_sites(problem: AttributionProblem) -> list[str]:
    """Return the sites whose maps are wide enough, in order of depth, or the first site where none is."""
    model = problem.model
    with torch.no_grad(), model.record(*model.sites) as cache:
        model(problem.inputs[:1])
    wide = [site for site in model.sites if math.isqrt(cache[site].shape[1]) >= _LEAST_SIDE]
    return wide or [model.sites[0]]
