"""Parts of an input that are taken away together: squares of an image, superpixels, or tokens."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from interp_bench.tracks.attribution import AttributionProblem

WINDOWS = 8  # squares along one side of an image
SUPERPIXELS = 64


def squares(problem: AttributionProblem, windows: int = WINDOWS) -> Tensor:
    """Return the number of the part that each place belongs to, on the CPU.

    Args:
        problem: what to explain.
        windows: squares along one side of an image; an LM has a part for each token.

    Returns:
        (1, position), or (1, 1, height, width).
    """
    if problem.model.modality == "lm":
        return torch.arange(problem.shape[-1])[None]
    rows, columns = (torch.arange(side) * windows // side for side in problem.shape[-2:])
    return (rows[:, None] * windows + columns)[None, None]


def spans(problem: AttributionProblem, span: int) -> Tensor:
    """Return (1, position), the number of the span of ``span`` neighbouring tokens of each token."""
    return (torch.arange(problem.shape[-1]) // span)[None]


def superpixels(image: Tensor, count: int, *, compactness: float, seed: int) -> Tensor:
    """Return (height, width), the number of the superpixel of each pixel: k-means on colour and place.

    The clustering of SLIC (Achanta et al. 2012, equation 1), with places all over the image rather than
    near each centre, and without joining parts that fell apart.

    Args:
        image: (3, height, width).
        count: superpixels wanted; fewer where clusters stay empty.
        compactness: weight of a distance of one grid step in place, in standard deviations of colour.
        seed: of scikit-learn's generator.
    """
    colours = image.detach().double().cpu().numpy()
    _, height, width = colours.shape
    rows, columns = np.mgrid[:height, :width]
    side = round(count**0.5)
    step = (height / side, width / side)
    scale = compactness * max(float(colours.std()), 1e-12)
    points = np.stack([*colours, rows / step[0] * scale, columns / step[1] * scale], -1).reshape(-1, 5)
    grid = np.arange(side) + 0.5
    centres = ((grid * step[0]).astype(int)[:, None] * width + (grid * step[1]).astype(int)).ravel()
    found = KMeans(len(centres), init=points[centres], n_init=1, max_iter=10, random_state=seed).fit(points)
    _, labels = np.unique(found.labels_, return_inverse=True)
    return torch.from_numpy(labels.reshape(height, width).copy()).long()


def blended(problem: AttributionProblem, index: int, kept: Tensor) -> Tensor:
    """Return one input many times, each with other places replaced by the reference.

    Args:
        problem: what to explain.
        index: which input.
        kept: (m, position) or (m, height, width), 1 where the input stays, 0 where the reference
            stands; pixels may be anything between.
    """
    given, reference = problem.inputs[index], problem.reference[index]
    if problem.model.modality == "lm":
        return torch.where(kept.to(given.device).bool(), given, reference)
    share = kept.to(given)[:, None]
    return share * given + (1 - share) * reference
