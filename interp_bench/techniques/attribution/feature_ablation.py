"""Feature ablation, by captum: parts that follow the content of the input are taken away one by one."""

from __future__ import annotations

import torch
from captum.attr import FeatureAblation
from torch import Tensor

from interp_bench.techniques.attribution.segments import SUPERPIXELS, spans, superpixels
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique


@technique(
    cites="Kokhlikyan et al. 2020, Captum: a unified and generic model interpretability library; "
    "captum FeatureAblation",
    access="forward",
    cost="one forward a superpixel (images) or a span (LMs)",
    quick=Needs(max_params=1_000_000),
)
def feature_ablation(
    problem: AttributionProblem,
    *,
    n_superpixels: int = SUPERPIXELS,
    compactness: float = 1.0,
    span: int = 2,
) -> Saliency:
    """Fall of the logit when a superpixel, or a span of tokens, is replaced by the reference.

    Occlusion, in contrast, takes squares of a fixed grid, or single tokens.

    Args:
        problem: what to explain.
        n_superpixels: superpixels of an image.
        compactness: how much superpixels heed place, against colour.
        span: neighbouring tokens that are replaced together.
    """
    with torch.no_grad():
        if problem.model.modality == "lm":
            return Saliency(values=_fall(problem, slice(None), spans(problem, span)).float())
        values = []
        for i, image in enumerate(problem.inputs):
            parts = superpixels(image, n_superpixels, compactness=compactness, seed=problem.seed % 2**32)
            values.append(_fall(problem, slice(i, i + 1), parts[None, None]).mean(1))
    return Saliency(values=torch.cat(values))


def _fall(problem: AttributionProblem, which: slice, parts: Tensor) -> Tensor:
    """Return captum's values for some inputs, of the shape of these."""
    outputs = problem.outputs[which]
    values: Tensor = FeatureAblation(
        lambda inputs: problem.logit(inputs, outputs.repeat(len(inputs) // len(outputs)))
    ).attribute(
        problem.inputs[which],
        baselines=problem.reference[which],
        feature_mask=parts.to(problem.inputs.device),
        perturbations_per_eval=32 if len(outputs) == 1 else 1,
    )
    return values
