"""A planted pattern in each input decides a logit; find where it stands among decoys and noise."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import NONE, Evidence, Scene, Stimuli, draw_classes
from interp_bench.planting.evidence.certify import certify_evidence, read_logits
from interp_bench.planting.evidence.plant import plant_evidence
from interp_bench.planting.evidence.transformer import EvidenceDials
from interp_bench.tracks.attribution import AttributionProblem, AttributionTruth
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task

_LARGE = 50_000_000  # parameters from which on a third of the inputs has to do
_IMAGES = Needs(modalities=("image",), kinds=("resnet", "convnext", "vit"))
_SMALL = Needs(max_params=200_000)
_DIALS = EvidenceDials(turned=True)
_ZIPF = 1.0  # words of a language are about as uneven (Zipf 1949)
_SPARE = 4  # inputs drawn for each one that is kept, at most


@task(version=1, needs=_IMAGES)
def visual_evidence(
    model: Model, seed: int, *, patterns: int = 8, n_inputs: int = 9, decoys: int = 3, amplitude: float = 0.8
) -> Planted[AttributionProblem, AttributionTruth]:
    """Which pixels are the pattern that made this class win."""
    return _planted(model, seed, patterns, n_inputs, Scene(decoys=decoys, amplitude=amplitude))


@task(version=1, needs=_IMAGES, quick=_SMALL)
def centred_evidence(
    model: Model, seed: int, *, patterns: int = 8, n_inputs: int = 9, decoys: int = 3, spread: float = 0.05
) -> Planted[AttributionProblem, AttributionTruth]:
    """Which pixels are the pattern, where it stands near the centre, as photographers would have it.

    A control: nearness to the centre finds much of it without the model.
    """
    return _planted(model, seed, patterns, n_inputs, Scene(decoys=decoys, spread=spread))


@task(version=1, needs=_IMAGES, quick=_SMALL)
def edge_rich_evidence(
    model: Model, seed: int, *, patterns: int = 8, n_inputs: int = 9, white: float = 0.1
) -> Planted[AttributionProblem, AttributionTruth]:
    """Which pixels are the pattern, where nothing else in the image has such edges.

    A control: an edge detector finds it without the model, so a technique that does has not shown
    that it explains anything.
    """
    return _planted(model, seed, patterns, n_inputs, Scene(decoys=0, white=white))


@task(version=1, needs=_IMAGES, quick=_SMALL)
def faint_evidence(
    model: Model, seed: int, *, patterns: int = 8, n_inputs: int = 9, decoys: int = 3, amplitude: float = 0.6
) -> Planted[AttributionProblem, AttributionTruth]:
    """Which pixels are the pattern, where its contrast is less than that of what is around it."""
    return _planted(model, seed, patterns, n_inputs, Scene(decoys=decoys, amplitude=amplitude))


@task(version=2, needs=Needs(modalities=("lm",)))
def token_evidence(
    model: Model,
    seed: int,
    *,
    patterns: int = 8,
    n_inputs: int = 12,
    decoys: int = 3,
    length: int = 16,
    copies: int = 2,
) -> Planted[AttributionProblem, AttributionTruth]:
    """Which tokens are the markers that decided the next one; two tell the same, so either would do."""
    return _planted(
        model, seed, patterns, n_inputs, Scene(decoys=decoys, length=length, copies=copies, zipf=_ZIPF)
    )


@task(version=2, needs=Needs(modalities=("lm",)), quick=_SMALL)
def span_evidence(
    model: Model,
    seed: int,
    *,
    patterns: int = 8,
    n_inputs: int = 12,
    decoys: int = 3,
    length: int = 24,
    copies: int = 3,
) -> Planted[AttributionProblem, AttributionTruth]:
    """Which span of tokens decided the next one, where all embeddings have the same norm."""
    scene = Scene(decoys=decoys, length=length, copies=copies, zipf=_ZIPF, together=True, even_norms=True)
    return _planted(model, seed, patterns, n_inputs, scene)


def _planted(
    model: Model, seed: int, patterns: int, n_inputs: int, scene: Scene
) -> Planted[AttributionProblem, AttributionTruth]:
    """Plant, draw inputs on which the evidence wins, and certify."""
    plant_seed, data_seed, check_seed, own_seed = _seeds(seed, 4)
    evidence = plant_evidence(model, (patterns,), seed=plant_seed, scene=scene, dials=_DIALS)
    shown, outputs = _draw(model, evidence, n_inputs, data_seed)
    return Planted(
        problem=AttributionProblem(
            model=model,
            seed=own_seed,
            inputs=shown.inputs,
            outputs=outputs,
            reference=_reference(model, evidence, shown.inputs, data_seed + 1),
        ),
        truth=AttributionTruth(masks=shown.masks[:, 0]),
        certificate=certify_evidence(model, evidence, check_seed, n_sites=1),
    )


def _reference(model: Model, evidence: Evidence, inputs: Tensor, seed: int) -> Tensor:
    """Return black images, or texts without evidence."""
    if model.modality == "image":
        return torch.zeros_like(inputs)
    none = torch.full((len(inputs), 1), NONE)
    return evidence.sample(none, torch.Generator().manual_seed(seed)).inputs


def _seeds(seed: int, n: int) -> list[int]:
    """Return independent seeds that follow from one."""
    generator = torch.Generator().manual_seed(seed)
    drawn: list[int] = torch.randint(2**31 - 1, (n,), generator=generator).tolist()
    return drawn


def _draw(model: Model, evidence: Evidence, count: int, seed: int) -> tuple[Stimuli, Tensor]:
    """Draw inputs on which the shown pattern wins, and the logit that it raises in each.

    Raises:
        PlantingError: it wins on too few.
    """
    if model.spec.params >= _LARGE:
        count = max(1, count // 3)
    generator = torch.Generator().manual_seed(seed)
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(_SPARE):
        classes = draw_classes(count, evidence.groups, generator)
        shown = evidence.sample(classes, generator)
        wins = read_logits(model, evidence, shown.inputs).argmax(1) == classes[:, 0]
        raised = evidence.outputs.cpu()[classes[:, 0]]
        kept.append((shown.inputs[wins.to(shown.inputs.device)], shown.masks[wins], raised[wins]))
        if sum(len(part[2]) for part in kept) >= count:
            break
    else:
        raise PlantingError(f"the shown pattern wins on fewer than one in {_SPARE} inputs")
    inputs, masks, outputs = (torch.cat(parts)[:count] for parts in zip(*kept, strict=True))
    return Stimuli(inputs=inputs, masks=masks), outputs.to(inputs.device)
