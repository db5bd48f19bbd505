"""Answers that never look at the output: what a technique has to beat before it explains anything."""

from __future__ import annotations

import torch
from torch.nn import functional

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique


@technique(
    cites="Adebayo et al. 2018, Sanity checks for saliency maps",
    access="forward",
    cost="none",
    needs=Needs(modalities=("image",)),
)
def edge_detector(problem: AttributionProblem) -> Saliency:
    """Strength of the edges in the image (Sobel), whatever the model."""
    pixels = problem.inputs.float()
    slope = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=pixels.device)
    kernels = torch.stack([slope, slope.T])[:, None].repeat(3, 1, 1, 1)
    padded = functional.pad(pixels, (1, 1, 1, 1), mode="replicate")
    return Saliency(values=functional.conv2d(padded, kernels, groups=3).square().sum(1).sqrt())


@technique(
    cites="Judd et al. 2012, A benchmark of computational models of saliency",
    access="forward",
    cost="none",
    needs=Needs(modalities=("image",)),
)
def centre_map(problem: AttributionProblem) -> Saliency:
    """Nearness to the centre of the image, whatever it shows."""
    n, height, width = problem.shape
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    nearness = (2 - rows[:, None] ** 2 - columns**2) / 2
    return Saliency(values=nearness.expand(n, height, width).contiguous())


@technique(
    cites="Schakel and Wilson 2015, Measuring word significance using distributed representations of words",
    access="activations",
    cost="none",
    needs=Needs(modalities=("lm",)),
)
def embedding_norm(problem: AttributionProblem) -> Saliency:
    """Length of each token's embedding."""
    return Saliency(values=problem.features().norm(dim=problem.feature_axis))
