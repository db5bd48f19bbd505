"""RISE: the mean output over random masks, of those that leave a place in sight."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.attribution.segments import blended
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique

_BATCH = 64


@technique(
    cites="Petsiuk et al. 2018, RISE: randomized input sampling, equation 6",
    access="forward",
    cost="n_masks forwards an input",
    quick=Needs(max_params=50_000),
)
def rise(problem: AttributionProblem, *, n_masks: int = 256, grid: int = 7, share: float = 0.5) -> Saliency:
    """Probability of the output, averaged over masks in proportion to what they show of a place.

    Args:
        problem: what to explain.
        n_masks: masks; the paper takes 4,000 to 8,000 of images of 224 pixels.
        grid: cells along one side of a mask before it is enlarged; the masks of an LM are by token.
        share: how much of a mask is in sight, on average.
    """
    masks = draw_masks(problem, n_masks, grid, share)
    values = [
        masked_mean(masks, _probabilities(problem, i, masks), share) for i in range(len(problem.inputs))
    ]
    return Saliency(values=torch.stack(values))


def masked_mean(masks: Tensor, probabilities: Tensor, share: float) -> Tensor:
    """Return the sum over masks (m, ...) of probability (m,) times mask, over m and the share in sight."""
    return torch.einsum("m,m...->...", probabilities, masks) / (len(masks) * share)


def draw_masks(problem: AttributionProblem, count: int, grid: int, share: float) -> Tensor:
    """Return (count, height, width): random cells, enlarged smoothly and shifted by up to a cell.

    The masks of an LM, (count, position), keep or replace each token.
    """
    generator = problem.generator()
    if problem.model.modality == "lm":
        return (torch.rand(count, problem.shape[-1], generator=generator) < share).float()
    height, width = problem.shape[-2:]
    cell = (-(-height // grid), -(-width // grid))
    cells = (torch.rand(count, 1, grid, grid, generator=generator) < share).float()
    large = (grid + 1) * cell[0], (grid + 1) * cell[1]
    masks = functional.interpolate(cells, size=large, mode="bilinear", align_corners=False)[:, 0]
    rows = torch.randint(cell[0], (count,), generator=generator).tolist()
    columns = torch.randint(cell[1], (count,), generator=generator).tolist()
    crops = [m[r : r + height, c : c + width] for m, r, c in zip(masks, rows, columns, strict=True)]
    return torch.stack(crops)


def _probabilities(problem: AttributionProblem, index: int, masks: Tensor) -> Tensor:
    """Return the probability (m,) of the output to explain, of one input behind each mask."""
    output, found = problem.outputs[index], []
    with torch.no_grad():
        for batch in masks.split(_BATCH):
            logits = problem.model(blended(problem, index, batch))
            final = logits[:, -1] if logits.ndim == 3 else logits
            found.append(final.float().softmax(-1)[:, output])
    return torch.cat(found).cpu()
