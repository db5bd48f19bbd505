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


@technique(
    cites="Adebayo et al. 2018, Sanity checks for saliency maps: gradient times input looks like the input",
    access="forward",
    cost="none",
    needs=Needs(modalities=("image",)),
)
def pixel_norm(problem: AttributionProblem) -> Saliency:
    """Length of each pixel's colour, whatever the model."""
    return Saliency(values=problem.inputs.float().norm(dim=1))


@technique(
    cites="Gupta et al. 2024, InterpBench, where the embedding and the first MLP make up most circuits",
    access="activations",
    cost="1 pass of the embedding, the first MLP and the head",
    needs=Needs(modalities=("lm",)),
)
def first_mlp(problem: AttributionProblem) -> Saliency:
    """Logit that each token's embedding and the first MLP's answer to it give on their own.

    Note:
        A trivial technique, to see that the answer does not stand in the embedding and the first block;
        since version 2 of the token tasks it does not, so it should stay at the floor.
    """
    model, block = problem.model, problem.model.transformer.blocks[0]
    n, position = problem.shape
    with torch.no_grad():
        alone = problem.features().view(n * position, 1, -1)
        read = block.mlp(block.norm2(alone))
        written = alone + (read[0] if isinstance(read, tuple) else read)
        tokens = problem.inputs.view(n * position, 1)
        with model.starting_at(model.n_layers, written):
            values = problem.logit(tokens, problem.outputs.repeat_interleave(position))
    return Saliency(values=values.float().view(n, position))


@technique(
    cites="Sparck Jones 1972, A statistical interpretation of term specificity",
    access="forward",
    cost="none",
    needs=Needs(modalities=("lm",)),
)
def rarest_token(problem: AttributionProblem) -> Saliency:
    """How rare each token is among the inputs and their references, whatever the model."""
    seen = torch.cat([problem.inputs, problem.reference]).flatten()
    counts = torch.bincount(seen)[problem.inputs].float()
    return Saliency(values=-counts.log())
