"""Do saliency maps find a patch trigger better than an edge detector? Casper et al. 2023 found: most do not.

As there, a map explains the class that the patch brings about, and is scored by its correlation with the
footprint of the patch. Three scenes:

- ``trigger``: a patch that turns every image, beside the evidence of the image's own class and two
  decoys that look like both (task triggers/universal_patch);
- ``decoys``: the evidence of a class, among three decoys in white noise (task visual_evidence);
- ``alone``: the same with neither decoys nor much noise (task edge_rich_evidence), as a patch on a
  photograph, which has few edges as sharp.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp_bench.analysis.stats import mean
from interp_bench.harness.models import MODELS
from interp_bench.planting.triggers.insertion import insert
from interp_bench.tracks.attribution import AttributionProblem
from interp_bench.tracks.base import Planted

from .orderings import MostBelow, Ordering
from .plants import certified, technique
from .sections import Job, Measured, Section

FLOOR = "edge_detector"
MAPS = (
    "deconvolution", "deep_lift", "feature_ablation", "grad_cam", "gradient_shap", "guided_backprop",
    "input_x_gradient", "integrated_gradients", "kernel_shap", "lime", "lrp", "occlusion", "rise", "saliency",
    "smooth_grad",
)  # fmt: skip
SCENES = MappingProxyType(
    {
        "alone": "attribution/edge_rich_evidence",
        "trigger": "triggers/universal_patch",
        "decoys": "attribution/visual_evidence",
    }
)
HOSTS = ("convnext-slim-20k", "resnet18")
N_INPUTS = 4
DRAWN = MappingProxyType({"kernel_shap": "n_samples", "lime": "n_samples", "rise": "n_masks"})
"""Argument for the number of drawn samples, where a technique draws many."""


def measure(job: Job) -> list[Measured]:
    """Score every map that applies to a network in one scene."""
    scene, host = job.cell
    spec, found = MODELS.registry().get(host), []
    for seed, planted in certified(SCENES[scene], host, job.seeds, n_inputs=N_INPUTS):
        problem, masks = triggered(planted) if scene == "trigger" else (planted.problem, planted.truth.masks)
        for name in (FLOOR, *MAPS):
            entry = technique(f"attribution/{name}")
            if entry.needs.unmet_by(spec.modality, spec.kind, spec.params) is None:
                value = _score(entry, problem, masks, 8 if job.brief else 96)
                metric = column(scene, host)
                found.append(Measured(metric=metric, technique=name, unit=str(seed), value=value))
    return found


def column(scene: str, host: str) -> str:
    """Return what the tables call a scene on a network."""
    return f"{scene}, {host}"


def triggered(planted: Planted[Any, Any]) -> tuple[AttributionProblem, Tensor]:
    """Return the question why images with the trigger in them are of the outcome class, and footprints."""
    problem, truth = planted.problem, planted.truth
    patch, places = truth.spellings[0], truth.places[:N_INPUTS]
    inputs = insert(truth.inputs[:N_INPUTS], patch, places)
    masks = torch.zeros(len(inputs), *inputs.shape[-2:], dtype=torch.bool)
    for mask, (row, column) in zip(masks, places.tolist(), strict=True):
        mask[row : row + patch.shape[-2], column : column + patch.shape[-1]] = True
    outcome = problem.outputs[problem.outcome].expand(len(inputs))
    question = AttributionProblem(
        model=problem.model,
        seed=problem.seed,
        inputs=inputs,
        outputs=outcome.to(inputs.device),
        reference=torch.zeros_like(inputs),
    )
    return question, masks


def _score(entry: Any, problem: AttributionProblem, masks: Tensor, drawn: int) -> float:
    """Return the mean correlation of a technique's maps with the footprints."""
    arguments = {DRAWN[entry.name]: drawn} if entry.name in DRAWN else {}
    values = entry.function(problem, **arguments).values.detach().double().cpu()
    return mean([correlation(v, m) for v, m in zip(values, masks, strict=True)])


def correlation(values: Tensor, mask: Tensor) -> float:
    """Return Pearson's correlation of a map with a footprint; 0 where the map is the same everywhere."""
    if float(values.std()) == 0:
        return 0.0
    return float(np.corrcoef(values.flatten().numpy(), mask.flatten().double().numpy())[0, 1])


_DENSE = (
    "In this scene as many edges belong to no patch, so that an edge detector finds little; the published "
    "finding is one about the images as much as about the maps."
)


_EDGES = (
    "Where the patch stands alone nothing else has edges, and an edge detector reaches three times what it "
    "does on photographs. In the other scenes, where edges are as frequent as there, KernelSHAP is ahead in "
    "both networks."
)


def _most(scene: str, host: str) -> MostBelow:
    return MostBelow(
        metric=column(scene, host),
        bar=FLOOR,
        published="0.22 against 0.1 and less",
        explained="" if scene == "alone" else _DENSE,
    )


SECTION = Section(
    name="attribution",
    title="Saliency maps of patches, beside an edge detector",
    source="Casper et al. 2023, Red teaming deep neural networks with feature synthesis tools, figure 3 "
    "(medians, read off: edges 0.22, KernelSHAP 0.81, occlusion 0.20, DeepLift, integrated gradients, LRP "
    "and saliency 0.1 and less)",
    scale="There photographs and a pretrained ResNet-50; here planted patches in networks with random "
    "weights. Values are correlations of maps with the footprint of the patch.",
    unit="seed",
    cells=tuple((scene, host) for scene in SCENES for host in HOSTS),
    brief_cells=1,
    seeds=5,
    measure=measure,
    metrics=(("", tuple(column(scene, host) for scene in SCENES for host in HOSTS)),),
    statements=(
        *(_most(scene, host) for scene in SCENES for host in HOSTS),
        Ordering(
            metric=column("alone", "resnet18"),
            first="kernel_shap",
            second=FLOOR,
            relation=">",
            published="0.81, 0.22",
            explained=_EDGES,
        ),
    ),
    techniques=tuple(f"attribution/{name}" for name in (FLOOR, *MAPS)),
)
