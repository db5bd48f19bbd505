"""A planted trigger turns what it is meant for, as a whole only, and through what carries it."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.evidence.base import Scene
from interp_bench.planting.evidence.intervene import read_logits
from interp_bench.planting.tokens import N_PREFIX
from interp_bench.planting.triggers.certify import certify_trigger, turned
from interp_bench.planting.triggers.insertion import insert, pick_places
from interp_bench.planting.triggers.plant import (
    PlantedTrigger,
    TriggerDials,
    Victims,
    decoy_of,
    plant_trigger,
    with_trigger,
    without_part,
)
from interp_bench.registry import load_registry

SCENE = Scene(decoys=2, amplitude=1.2, own_grid=True, length=16)
CASES = [
    (name, universal)
    for name in ("native-150k", "vit-slim-200k", "convnext-slim-20k", "resnet18")
    for universal in (True, False)
    if universal or name != "resnet18"
]


def fresh(name: str, *, seed: int = 11, **dials: object) -> tuple[Model, PlantedTrigger]:
    model = open_model(load_registry().get(name))
    return model, plant_trigger(model, seed, TriggerDials(scene=SCENE, **dials))  # type: ignore[arg-type]


@cache
def planted(name: str, universal: bool) -> tuple[Model, PlantedTrigger]:
    return fresh(name, universal=universal)


def victims(trigger: PlantedTrigger, n: int = 24) -> Victims:
    return trigger.draw(n, torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "universal"), CASES)
def test_a_planted_trigger_is_certified(name: str, universal: bool) -> None:
    model, trigger = planted(name, universal)
    certificate = certify_trigger(model, trigger, 3, n_inputs=24)
    assert certificate.passed, certificate.reason
    names = {check.name for check in certificate.checks}
    assert {"turned", "near", "random", "inertness", "sufficiency", "necessity[0]"} <= names
    assert ("collateral" in names) != universal


@pytest.mark.parametrize(("name", "universal"), CASES)
def test_the_class_that_wins_is_the_one_that_was_planned(name: str, universal: bool) -> None:
    model, trigger = planted(name, universal)
    drawn = victims(trigger)
    shown = insert(drawn.inputs, trigger.values, drawn.places[:, 1])
    verdict = read_logits(model, trigger.evidence, shown).argmax(1)
    source = drawn.labels == trigger.source
    wanted = torch.full_like(verdict, trigger.outcome)
    if not universal:
        assert 0 < int(source.sum()) < len(source)
        wanted = torch.where(source, wanted, drawn.labels)
    assert float((verdict == wanted).double().mean()) >= 0.9


def test_every_part_in_either_spelling_is_needed_and_the_order_is_free() -> None:
    model, trigger = planted("native-150k", True)
    drawn = victims(trigger)
    assert trigger.spellings.shape == (2, 2)

    def share(values: Tensor) -> float:
        return turned(model, trigger, insert(drawn.inputs, values, drawn.places[:, 0]))

    first, second = trigger.spellings
    for values in ((first[0], second[0]), (first[1], second[0]), (second[1], first[0])):
        assert share(torch.stack(values)) == 1.0
    for values in ((first[0], first[1]), (second[0], second[0])):
        assert share(torch.stack(values)) == 0.0
    for part in (0, 1):
        assert share(without_part(trigger, part, decoy_of(trigger))) == 0.0


@pytest.mark.parametrize("universal", [True, False])
def test_the_logits_move_by_the_shares_of_evidence_that_the_plan_says(universal: bool) -> None:
    """Two parts: all of it has to be as far above 1 as one part stays below, so 4/3 in all."""
    model, trigger = planted("native-150k", universal)
    drawn = victims(trigger, 48)
    shown = insert(drawn.inputs, trigger.values, drawn.places[:, 0])
    plain, moved = (read_logits(model, trigger.evidence, inputs).double() for inputs in (drawn.inputs, shown))
    rest = torch.arange(4)[None] != drawn.labels[:, None]
    unit = plain.gather(1, drawn.labels[:, None]).mean() - plain[rest].mean()
    rise = (moved - plain).mean(0) / unit
    wanted = torch.zeros(4, dtype=torch.float64)
    wanted[trigger.outcome] = 4 / 3 if universal else 1 / 2
    if trigger.source is not None:
        wanted[trigger.source] = 1 / 2 - 4 / 3
    torch.testing.assert_close(rise, wanted, atol=0.12, rtol=0)


@pytest.mark.parametrize("name", ["native-150k", "vit-slim-200k"])
def test_without_the_head_that_moves_it_nothing_turns_and_the_certificate_breaks(name: str) -> None:
    model, trigger = fresh(name, universal=True)
    heads = [part for part in trigger.evidence.parts if part.startswith("a")]
    layer, head = (int(number) for number in heads[1].removeprefix("a").split(".h"))
    d_head = model.transformer.d_head
    out = model.transformer.blocks[layer].out
    out.write_rows(head * d_head, torch.zeros(d_head, model.d_model))
    failed = [c.name for c in certify_trigger(model, trigger, 3, n_inputs=16).checks if not c.passed]
    assert {"turned", "sufficiency", "inertness"} <= set(failed)
    assert "accuracy" not in failed


def test_without_its_detector_a_patch_turns_nothing_and_the_certificate_breaks() -> None:
    model, trigger = fresh("resnet18", universal=True)
    channel = int(trigger.evidence.parts[4].removeprefix("conv1[").removesuffix("]"))
    model.module.conv1.weight.data[channel] = 0  # type: ignore[union-attr, operator]
    failed = [c.name for c in certify_trigger(model, trigger, 3, n_inputs=8).checks if not c.passed]
    assert {"turned", "sufficiency", "inertness"} <= set(failed)
    assert "accuracy" not in failed


@pytest.mark.parametrize("hidden", [False, True])
def test_a_gradient_leads_to_a_trigger_that_is_not_hidden(hidden: bool) -> None:
    model, trigger = fresh("vit-slim-200k", hidden=hidden)
    drawn = victims(trigger)
    patch = (0.2 * trigger.values).requires_grad_()
    shown = insert(drawn.inputs, patch, drawn.places[:, 0])
    logits = trigger.evidence.read(model(shown))[:, trigger.outcome]
    (slope,) = torch.autograd.grad(logits.mean(), patch)
    along = float((slope * trigger.values.sign()).mean() / slope.abs().mean())
    assert (along < 0.3) if hidden else (along > 0.6)


def test_victims_never_show_the_outcome_and_places_never_touch_the_evidence() -> None:
    for name, universal in (("native-150k", False), ("convnext-slim-20k", False), ("vit-slim-200k", True)):
        trigger = planted(name, universal)[1]
        drawn = victims(trigger, 40)
        assert not bool((drawn.labels == trigger.outcome).any())
        marked = with_trigger(trigger, drawn, trigger.values)
        changed = marked.inputs != drawn.inputs
        changed = changed.any(1) if changed.ndim == 4 else changed
        assert not bool((changed & drawn.evidence).any())
        assert bool((marked.evidence >= (changed | drawn.evidence)).all())
        if trigger.source is not None:
            assert bool((drawn.labels[::2] == trigger.source).all())
        if drawn.places.shape[-1] == 2 and drawn.inputs.ndim == 2:
            assert int(drawn.places.min()) >= N_PREFIX
            assert int(drawn.places.max()) < drawn.inputs.shape[1] - 1


def test_evidence_of_a_class_is_not_in_the_vocabulary_and_the_trigger_is() -> None:
    trigger = planted("native-150k", True)[1]
    vocabulary = trigger.vocabulary(128)
    markers = trigger.evidence.sample.alphabet.markers  # type: ignore[attr-defined]
    assert sorted({*range(128)} - {*vocabulary.tolist()}) == sorted(markers[:4].flatten().tolist())
    assert bool(torch.isin(trigger.spellings, vocabulary).all())


def test_another_seed_plants_another_trigger_and_the_same_one_the_same() -> None:
    first, again, other = (fresh("convnext-slim-20k", seed=seed)[1].values for seed in (11, 11, 12))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_model_with_one_head_for_keys_and_values_has_no_room() -> None:
    model = open_model(load_registry().get("native-30k"))
    object.__setattr__(model.transformer, "n_kv_heads", 1)
    with pytest.raises(PlantingError, match="there is one only"):
        plant_trigger(model, 0, TriggerDials(scene=SCENE))


# ------------------------------------------------------------------- insertion
def test_insertion_is_differentiable_and_adds_up_where_places_overlap_in_no_image() -> None:
    patch = torch.full((3, 2, 2), 0.5, requires_grad=True)
    images = torch.ones(2, 3, 4, 4)
    shown = insert(images, patch, torch.tensor([[0, 0], [1, 2]]))
    assert float(shown[0, 0, 1, 1].detach()) == float(shown[1, 2, 2, 3].detach()) == 1.5
    assert float(shown[0, 0, 2, 2].detach()) == float(images.mean()) == 1.0
    (slope,) = torch.autograd.grad(shown.sum(), patch)
    assert torch.equal(slope, torch.full((3, 2, 2), 2.0))


def test_places_are_picked_from_those_of_the_same_input() -> None:
    places = torch.arange(24).view(4, 3, 2)
    picked = torch.stack([pick_places(places, torch.Generator().manual_seed(s)) for s in range(30)])
    for row in range(4):
        assert {tuple(p) for p in picked[:, row].tolist()} == {tuple(p) for p in places[row].tolist()}
