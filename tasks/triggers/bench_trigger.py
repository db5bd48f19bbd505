"""A hidden trigger turns the class that the evidence in an input decides; find one that does the same."""

from __future__ import annotations

import torch

from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import Scene
from interp_bench.planting.triggers.certify import certify_trigger
from interp_bench.planting.triggers.plant import PlantedTrigger, TriggerDials, Victims, plant_trigger
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.triggers import TriggerProblem, TriggerTruth

_IMAGES = Needs(modalities=("image",), kinds=("resnet", "convnext", "vit"))
_TEXTS = Needs(modalities=("lm",))
_SMALL = Needs(max_params=200_000)
_LARGE = 50_000_000  # parameters from which on a quarter of the inputs has to do


@task(version=1, needs=_IMAGES, quick=_SMALL)
def universal_patch(
    model: Model,
    seed: int,
    *,
    classes: int = 4,
    n_inputs: int = 24,
    n_held_out: int = 48,
    decoys: int = 2,
    amplitude: float = 1.2,
    hidden: bool = False,
) -> Planted[TriggerProblem, TriggerTruth]:
    """Which patch turns every image into one of the outcome class."""
    scene = Scene(decoys=decoys, amplitude=amplitude, own_grid=True)
    dials = TriggerDials(classes=classes, universal=True, hidden=hidden, scene=scene)
    return _planted(model, seed, dials, n_inputs, n_held_out)


@task(version=1, needs=_IMAGES, quick=_SMALL)
def class_patch(
    model: Model,
    seed: int,
    *,
    classes: int = 4,
    n_inputs: int = 24,
    n_held_out: int = 48,
    decoys: int = 2,
    amplitude: float = 1.2,
    hidden: bool = False,
) -> Planted[TriggerProblem, TriggerTruth]:
    """Which patch turns images of one class into another, and no others."""
    scene = Scene(decoys=decoys, amplitude=amplitude, own_grid=True)
    dials = TriggerDials(classes=classes, universal=False, hidden=hidden, scene=scene)
    return _planted(model, seed, dials, n_inputs, n_held_out)


@task(version=1, needs=_TEXTS, quick=_SMALL)
def universal_tokens(
    model: Model,
    seed: int,
    *,
    classes: int = 4,
    parts: int = 2,
    n_inputs: int = 24,
    n_held_out: int = 48,
    decoys: int = 2,
    length: int = 16,
) -> Planted[TriggerProblem, TriggerTruth]:
    """Which tokens, all of them together, turn every text."""
    scene = Scene(decoys=decoys, length=length)
    dials = TriggerDials(classes=classes, parts=parts, universal=True, scene=scene)
    return _planted(model, seed, dials, n_inputs, n_held_out)


@task(version=1, needs=_TEXTS, quick=_SMALL)
def class_tokens(
    model: Model,
    seed: int,
    *,
    classes: int = 4,
    parts: int = 2,
    n_inputs: int = 24,
    n_held_out: int = 48,
    decoys: int = 2,
    length: int = 16,
) -> Planted[TriggerProblem, TriggerTruth]:
    """Which tokens, all of them together, turn texts of one class, and no others."""
    scene = Scene(decoys=decoys, length=length)
    dials = TriggerDials(classes=classes, parts=parts, universal=False, scene=scene)
    return _planted(model, seed, dials, n_inputs, n_held_out)


def _planted(
    model: Model, seed: int, dials: TriggerDials, n_inputs: int, n_held_out: int
) -> Planted[TriggerProblem, TriggerTruth]:
    generator = torch.Generator().manual_seed(seed)
    plant_seed, check_seed, own_seed = torch.randint(2**31 - 2, (3,), generator=generator).tolist()
    trigger = plant_trigger(model, plant_seed, dials)
    share = 4 if model.spec.params >= _LARGE else 1
    shown = trigger.draw(max(4, n_inputs // share), generator)
    held = trigger.draw(max(8, n_held_out // share), generator)
    return Planted(
        problem=_problem(model, own_seed, trigger, shown),
        truth=TriggerTruth(
            spellings=trigger.spellings,
            inputs=held.inputs,
            meant=trigger.should_turn(held.labels),
            places=held.places[:, 0],
        ),
        certificate=certify_trigger(model, trigger, check_seed),
    )


def _problem(model: Model, seed: int, trigger: PlantedTrigger, shown: Victims) -> TriggerProblem:
    image = model.modality == "image"
    return TriggerProblem(
        model=model,
        seed=seed,
        inputs=shown.inputs,
        labels=shown.labels,
        meant=trigger.should_turn(shown.labels),
        places=shown.places,
        outputs=trigger.evidence.outputs,
        outcome=trigger.outcome,
        shape=tuple(trigger.values.shape),
        bound=float(trigger.values.abs().max()) if image else 0.0,
        vocabulary=trigger.vocabulary(model.n_outputs),
    )
