"""Occlusion, by captum: take a part of the input away and see what the output loses."""

from __future__ import annotations

import torch
from captum.attr import FeatureAblation
from captum.attr import Occlusion as CaptumOcclusion

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique


@technique(
    cites="Zeiler and Fergus 2014, Visualizing and understanding convolutional networks; captum Occlusion",
    access="forward",
    cost="windows^2 forwards (images), one forward a token (LMs)",
    quick=Needs(max_params=1_000_000),
)
def occlusion(problem: AttributionProblem, *, windows: int = 8) -> Saliency:
    """Fall of the logit when a square of pixels, or a token, is replaced by the reference.

    Args:
        problem: what to explain.
        windows: squares along one side of an image.
    """
    with torch.no_grad():
        if problem.model.modality == "lm":
            values = FeatureAblation(problem.logit).attribute(
                problem.inputs, baselines=problem.reference, additional_forward_args=problem.outputs
            )
            return Saliency(values=values.float())
        side = -(-problem.shape[-1] // windows)
        values = CaptumOcclusion(problem.logit).attribute(
            problem.inputs,
            sliding_window_shapes=(3, side, side),
            strides=(3, side, side),
            baselines=problem.reference,
            additional_forward_args=problem.outputs,
        )
    return Saliency(values=values.mean(1))
