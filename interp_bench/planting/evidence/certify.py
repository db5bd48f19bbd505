"""Certify planted evidence by intervention on the input and on its carriers, in any kind of model.

Checks, all on inputs drawn for this purpose alone:

- ``accuracy[g]``: the pattern shown in group g has the largest logit of its group.
- ``sufficiency[g]``: it still has when everything else in the input is drawn anew.
- ``necessity[g]``: it has no longer when the pattern alone is drawn anew (bound: chance + 0.3).
- ``logit_fall[g]``: by how much its logit then falls, as a share of its lead over the rest of the group.
- ``near[g]``: it has no longer when a decoy stands in its place, all else the same (bound: chance + 0.3).
- ``inertness``: it still has when random halves of everything else are drawn anew, together.
- ``interchange[site]``: swapping the coordinates on one group's carriers between two inputs swaps the
  largest logit of that group and leaves that of the other groups.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.planting.evidence.base import DECOY, Evidence, Stimuli, draw_classes
from interp_bench.planting.evidence.intervene import (
    interchanged_logits,
    mix,
    random_half,
    read_logits,
    spread,
)

ACCURACY, SUFFICIENCY, INERTNESS, INTERCHANGE = 0.9, 0.9, 0.9, 0.9
ABOVE_CHANCE = 0.3
LOGIT_FALL = 0.5
RANDOM_SETS = 50
_LARGE, _HUGE = 50_000_000, 1_000_000_000  # parameters from which on fewer inputs have to do


def certify_evidence(
    model: Model, evidence: Evidence, seed: int, *, n_inputs: int | None = None, n_sites: int = 2
) -> Certificate:
    """Measure whether the evidence, and only it, decides the logits of its patterns.

    Args:
        model: the planted model.
        evidence: what was planted.
        seed: decides the inputs; independent of the seed of the plant.
        n_inputs: inputs of each check; 48 when None, 16 for large models, 8 beyond a billion parameters.
        n_sites: sites at which carriers are interchanged, spread over the depth of the model.
    """
    large = model.spec.params >= _LARGE
    n_inputs = n_inputs or (8 if model.spec.params >= _HUGE else 16 if large else 48)
    generator = torch.Generator().manual_seed(seed)
    classes = draw_classes(n_inputs, evidence.groups, generator)
    again = generator.get_state()
    shown = evidence.sample(classes, generator)
    other = evidence.sample(torch.full_like(classes, -1), generator).inputs
    checks = [
        *_input_checks(model, evidence, classes, shown, other),
        *_near(model, evidence, classes, again),
        _inertness(model, evidence, classes, shown, other, generator, 1 if large else 2),
        *_interchanges(model, evidence, classes, shown.inputs, generator, n_sites),
    ]
    return Certificate(checks=tuple(checks))


def _input_checks(
    model: Model, evidence: Evidence, classes: Tensor, shown: Stimuli, other: Tensor
) -> list[Check]:
    logits = read_logits(model, evidence, shown.inputs)
    alone = read_logits(model, evidence, mix(shown.masks.any(1), shown.inputs, other))
    checks = []
    for group, size in enumerate(evidence.groups):
        without = read_logits(model, evidence, mix(shown.masks[:, group], other, shown.inputs))
        own = classes[:, group, None]
        rest = (logits[:, evidence.members(group)].sum(1, keepdim=True) - logits.gather(1, own)) / (size - 1)
        lead = (logits.gather(1, own) - rest).mean()
        fall = (logits.gather(1, own) - without.gather(1, own)).mean() / lead
        right = [
            float(_right(evidence, values, classes)[:, group].double().mean())
            for values in (logits, alone, without)
        ]
        checks += [
            Check(name=f"accuracy[{group}]", value=right[0], relation=">=", bound=ACCURACY),
            Check(name=f"sufficiency[{group}]", value=right[1], relation=">=", bound=SUFFICIENCY),
            Check(name=f"necessity[{group}]", value=right[2], relation="<=", bound=1 / size + ABOVE_CHANCE),
            Check(name=f"logit_fall[{group}]", value=float(fall), relation=">=", bound=LOGIT_FALL),
        ]
    return checks


def _near(model: Model, evidence: Evidence, classes: Tensor, state: Tensor) -> list[Check]:
    """Draw the same inputs again, from the same state, with a decoy in the place of each pattern."""
    checks = []
    for group, size in enumerate(evidence.groups):
        changed = classes.clone()
        changed[:, group] = DECOY
        generator = torch.Generator()
        generator.set_state(state)
        logits = read_logits(model, evidence, evidence.sample(changed, generator).inputs)
        value = float(_right(evidence, logits, classes)[:, group].double().mean())
        checks.append(Check(name=f"near[{group}]", value=value, relation="<=", bound=1 / size + ABOVE_CHANCE))
    return checks


def _inertness(
    model: Model,
    evidence: Evidence,
    classes: Tensor,
    shown: Stimuli,
    other: Tensor,
    generator: torch.Generator,
    n_each: int,
) -> Check:
    """Draw random halves of everything but the patterns anew: RANDOM_SETS times, on ``n_each`` inputs."""
    evidence_here = shown.masks.any(1)
    rows = torch.arange(RANDOM_SETS * n_each) % len(classes)
    kept = random_half(evidence_here[rows], generator) | evidence_here[rows]
    device_rows = rows.to(other.device)
    logits = read_logits(model, evidence, mix(kept, shown.inputs[device_rows], other[device_rows]))
    value = float(_right(evidence, logits, classes[rows]).double().mean())
    return Check(name="inertness", value=value, relation=">=", bound=INERTNESS)


def _interchanges(
    model: Model,
    evidence: Evidence,
    classes: Tensor,
    inputs: Tensor,
    generator: torch.Generator,
    n_sites: int,
) -> list[Check]:
    others = draw_classes(len(classes), evidence.groups, generator)
    sources = evidence.sample(others, generator).inputs
    checks = []
    for site in spread(list(evidence.carriers), n_sites):
        value = interchange_accuracy(model, evidence, site, (inputs, classes), (sources, others))
        checks.append(Check(name=f"interchange[{site}]", value=value, relation=">=", bound=INTERCHANGE))
    return checks


def interchange_accuracy(
    model: Model,
    evidence: Evidence,
    site: str,
    base: tuple[Tensor, Tensor],
    source: tuple[Tensor, Tensor],
) -> float:
    """Return how often swapping one group's carriers at a site swaps that group's verdict and no other.

    Args:
        model: the planted model.
        evidence: what was planted.
        site: a site that has carriers.
        base: inputs (n, ...) that are changed, and their patterns (n, n_groups).
        source: inputs that coordinates are taken from, and their patterns.
    """
    right = []
    for group in range(len(evidence.groups)):
        wanted = base[1].clone()
        wanted[:, group] = source[1][:, group]
        logits = interchanged_logits(model, evidence, site, evidence.members(group), base[0], source[0])
        right.append(_right(evidence, logits, wanted).double().mean())
    return float(torch.stack(right).mean())


def _right(evidence: Evidence, logits: Tensor, classes: Tensor) -> Tensor:
    """Return (n, n_groups) bool: whether the shown pattern has the largest logit of its group."""
    verdicts = [
        logits[:, evidence.members(group)].argmax(1) + evidence.members(group).start
        for group in range(len(evidence.groups))
    ]
    return torch.stack(verdicts, 1) == classes
