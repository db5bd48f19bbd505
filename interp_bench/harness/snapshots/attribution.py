"""Snapshots of attribution: saliency over images or tokens, beside where the evidence stands."""

from __future__ import annotations

from torch import Tensor

from interp_bench.harness.snapshots.digits import marks_of, rows_of, salient
from interp_bench.harness.snapshots.stored import PixelExample, Pixels, TokenExample, Tokens
from interp_bench.tracks.attribution import AttributionProblem, AttributionTruth, Saliency

MOST_IMAGES = 2
MOST_TEXTS = 8
_MOST_PEAKS = 3
_CONTRAST = 2.5
"""Pixel units from the darkest to the brightest digit, over two: three standard deviations or so."""


def snapshot(problem: AttributionProblem, truth: AttributionTruth, answer: Saliency) -> Pixels | Tokens:
    """Show the first inputs of the problem."""
    inputs, masks, values = problem.inputs.cpu(), truth.masks.cpu(), answer.values.detach().cpu()
    if problem.model.modality == "image":
        chosen = zip(inputs[:MOST_IMAGES], masks, values, strict=False)
        return Pixels(examples=tuple(_image(*one) for one in chosen))
    chosen = zip(inputs[:MOST_TEXTS], masks, values, strict=False)
    return Tokens(examples=tuple(_text(*one) for one in chosen))


def _image(image: Tensor, mask: Tensor, values: Tensor) -> PixelExample:
    (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in mask.nonzero(as_tuple=True))
    peaks = (values == values.max()).nonzero().tolist()
    shown = image.double().permute(1, 2, 0) / (2 * _CONTRAST) + 0.5
    return PixelExample(
        image=rows_of(shown, 1),
        corner=(top, left),
        planted=marks_of(mask[top:bottom, left:right]),
        saliency=rows_of(salient(values), 1),
        peaks=tuple((row, column) for row, column in peaks) if len(peaks) <= _MOST_PEAKS else (),
    )


def _text(tokens: Tensor, mask: Tensor, values: Tensor) -> TokenExample:
    return TokenExample(
        tokens=tuple(tokens.tolist()),
        planted=marks_of(mask[None])[0],
        saliency=rows_of(salient(values)[None], 2)[0],
    )
