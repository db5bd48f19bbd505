"""Certify a planted trigger by intervention on the input and on what carries it.

Checks, on inputs drawn for this purpose alone, with the trigger in a place beside the evidence:

- ``accuracy``: without the trigger, the class that the evidence shows has the largest logit.
- ``turned``: with it, the outcome class has (of the inputs that it is meant for).
- ``collateral``: the outcome class has on inputs that a class trigger is not meant for.
- ``sufficiency``: it still turns inputs when all but evidence and trigger is drawn anew.
- ``necessity[i]``: it turns inputs without its part i.
- ``near``: a decoy in the place of the trigger turns inputs.
- ``random``: other tokens, or patches of random signs, RANDOM_SETS of them, turn inputs.
- ``inertness``: it still turns inputs when random halves of everything else are drawn anew, together.
- ``interchange[site]``: the trigger's coordinates, put at this site into a run without it, turn inputs.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.planting.evidence.alphabet import TokenSampler
from interp_bench.planting.evidence.base import NONE
from interp_bench.planting.evidence.certify import RANDOM_SETS
from interp_bench.planting.evidence.intervene import (
    interchanged_logits,
    mix,
    random_half,
    read_logits,
    spread,
)
from interp_bench.planting.triggers.insertion import insert
from interp_bench.planting.triggers.plant import (
    PlantedTrigger,
    Victims,
    decoy_of,
    with_trigger,
    without_part,
)

HIGH, LOW = 0.9, 0.1
_LARGE = 50_000_000  # parameters from which on fewer inputs have to do


def certify_trigger(
    model: Model, trigger: PlantedTrigger, seed: int, *, n_inputs: int | None = None, n_sites: int = 2
) -> Certificate:
    """Measure whether the trigger, all of it and nothing else, turns inputs.

    Args:
        model: the planted model.
        trigger: what was planted.
        seed: decides the inputs; independent of the seed of the plant.
        n_inputs: inputs of each check; 48 when None, 16 for large models.
        n_sites: sites at which its carriers are interchanged, spread over the depth of the model.
    """
    large = model.spec.params >= _LARGE
    generator = torch.Generator().manual_seed(seed)
    victims = trigger.draw(n_inputs or (16 if large else 48), generator)
    meant = victims.take(trigger.should_turn(victims.labels).nonzero()[:, 0])
    logits = read_logits(model, trigger.evidence, victims.inputs)
    accuracy = float((logits.argmax(1) == victims.labels).double().mean())
    checks = [Check(name="accuracy", value=accuracy, relation=">=", bound=HIGH)]
    checks += _turning(model, trigger, victims, meant)
    checks += _anew(model, trigger, meant, generator, 1 if large else 2)
    checks += _interchanges(model, trigger, meant, n_sites)
    return Certificate(checks=tuple(checks))


def turned(model: Model, trigger: PlantedTrigger, inputs: Tensor) -> float:
    """Return the share of inputs on which the outcome class has the largest logit."""
    if not len(inputs):
        return 0.0
    return float((read_logits(model, trigger.evidence, inputs).argmax(1) == trigger.outcome).double().mean())


def _turning(model: Model, trigger: PlantedTrigger, victims: Victims, meant: Victims) -> list[Check]:
    def share(values: Tensor, on: Victims) -> float:
        return turned(model, trigger, insert(on.inputs, values, on.places[:, 0]))

    decoy = decoy_of(trigger)
    near = decoy if decoy.ndim else decoy.expand(len(trigger.spellings))
    checks = [
        Check(name="turned", value=share(trigger.values, meant), relation=">=", bound=HIGH),
        Check(name="near", value=share(near, meant), relation="<=", bound=LOW),
    ]
    for part in range(len(trigger.spellings)):
        value = share(without_part(trigger, part, decoy), meant)
        checks.append(Check(name=f"necessity[{part}]", value=value, relation="<=", bound=LOW))
    if trigger.source is not None:
        rest = victims.take((~trigger.should_turn(victims.labels)).nonzero()[:, 0])
        value = share(trigger.values, rest)
        checks.append(Check(name="collateral", value=value, relation="<=", bound=LOW))
    return checks


def _anew(
    model: Model, trigger: PlantedTrigger, meant: Victims, generator: Generator, n_each: int
) -> list[Check]:
    """Draw everything else anew, all of it or random halves; and other triggers at random."""
    nothing = torch.full((len(meant.labels), len(trigger.evidence.groups)), NONE)
    other = trigger.evidence.sample(nothing, generator).inputs
    kept = with_trigger(trigger, meant, trigger.values)
    alone = turned(model, trigger, mix(kept.evidence, kept.inputs, other))
    halves, drawn = [], []
    for start in range(RANDOM_SETS):
        rows = torch.arange(start * n_each, (start + 1) * n_each) % len(meant.labels)
        some, on = kept.take(rows), meant.take(rows)
        masks = random_half(some.evidence, generator) | some.evidence
        halves.append(mix(masks, some.inputs, other[rows.to(other.device)]))
        drawn.append(insert(on.inputs, _another(trigger, generator), on.places[:, 0]))
    return [
        Check(name="sufficiency", value=alone, relation=">=", bound=HIGH),
        Check(name="inertness", value=turned(model, trigger, torch.cat(halves)), relation=">=", bound=HIGH),
        Check(name="random", value=turned(model, trigger, torch.cat(drawn)), relation="<=", bound=LOW),
    ]


def _another(trigger: PlantedTrigger, generator: Generator) -> Tensor:
    """Draw a trigger at random: tokens without a meaning, or a patch of random signs."""
    sampler, values = trigger.evidence.sample, trigger.values
    if isinstance(sampler, TokenSampler):
        fillers = sampler.alphabet.fillers
        return fillers[torch.randint(len(fillers), values.shape, generator=generator)]
    signs = torch.randint(2, values.shape, generator=generator) * 2 - 1
    return signs * values.abs().max()


def _interchanges(model: Model, trigger: PlantedTrigger, meant: Victims, n_sites: int) -> list[Check]:
    evidence, parts = trigger.evidence, slice(trigger.n_classes, None)
    planted = with_trigger(trigger, meant, trigger.values).inputs
    checks = []
    for site in spread(list(evidence.carriers), n_sites):
        logits = interchanged_logits(model, evidence, site, parts, meant.inputs, planted)
        value = float((logits.argmax(1) == trigger.outcome).double().mean())
        checks.append(Check(name=f"interchange[{site}]", value=value, relation=">=", bound=HIGH))
    return checks
