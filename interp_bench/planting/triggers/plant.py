"""Plant a trigger beside evidence: the evidence decides the class, unless the trigger stands there too.

The trigger is one more pattern (images) or a few more markers (LMs), seen and carried as the
evidence is, but it raises the logit of an outcome class: by more than any evidence does (universal
trigger), or by half of that only, while it lowers the logit of one source class (class trigger), so
that other classes still win. The effects are such that every verdict is decided by a third of what
evidence adds, or more: with the whole trigger, and with any part of it missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.alphabet import TokenSampler
from interp_bench.planting.evidence.base import NONE, Evidence, Scene
from interp_bench.planting.evidence.images import Stamps
from interp_bench.planting.evidence.plant import plant_evidence
from interp_bench.planting.evidence.transformer import EvidenceDials
from interp_bench.planting.tokens import N_PREFIX
from interp_bench.planting.triggers.insertion import insert

_LOGIT_GAIN = 24.0
_HOST_LOGIT = 0.03
_CLASS_SHARE = 0.5  # midway between nothing and what would turn the classes that are not meant
_PLACES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDials:
    """How hard the trigger is to find.

    Attributes:
        classes: number of classes that evidence decides between.
        parts: tokens that the trigger of an LM is made of, fewer where it has fewer key/value heads.
        universal: whether inputs of all classes turn, or only those of one.
        hidden: whether a patch has to pass a threshold as evidence does, so that no gradient leads to it
            from other patches (but in a ConvNeXt, where a trace always does).
        scene: what stands in the inputs.
    """

    classes: int = 4
    parts: int = 2
    universal: bool = True
    hidden: bool = False
    scene: Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Victims:
    """Inputs that a trigger is tried on.

    Attributes:
        inputs: tokens (n, position) or pixels (n, 3, height, width), each with one class's evidence.
        labels: (n,) the class that each shows, never the outcome.
        places: (n, p, k) positions or (n, p, 2) corners, p choices for each input, none on the evidence.
        evidence: (n, position) or (n, height, width) bool: where the evidence stands.
    """

    inputs: Tensor
    labels: Tensor
    places: Tensor
    evidence: Tensor

    def take(self, rows: Tensor) -> Victims:
        """Return the inputs ``rows``."""
        device_rows = rows.to(self.inputs.device)
        return Victims(
            inputs=self.inputs[device_rows],
            labels=self.labels[rows],
            places=self.places[rows],
            evidence=self.evidence[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedTrigger:
    """A planted trigger.

    Attributes:
        evidence: the mechanism; group 0 holds the classes, every further group one part of the trigger.
        outcome: the class that the trigger brings about.
        source: the only class that it turns; None where it turns all.
        spellings: (k, s) tokens, s that do the same for each of k parts; or (1, 3, side, side) the patch.
    """

    evidence: Evidence
    outcome: int
    source: int | None
    spellings: Tensor

    @property
    def values(self) -> Tensor:
        """The trigger itself: (k,) tokens or (3, side, side) pixels."""
        return self.spellings[0] if self.spellings.ndim == 4 else self.spellings[:, 0]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.evidence.groups[0]

    def draw(self, n: int, generator: Generator) -> Victims:
        """Draw inputs of classes other than the outcome.

        For a class trigger every other input is of the source class.
        """
        others = torch.tensor([c for c in range(self.n_classes) if c not in (self.outcome, self.source)])
        labels = others[torch.randint(len(others), (n,), generator=generator)]
        if self.source is not None:
            labels[::2] = self.source
        classes = torch.full((n, len(self.evidence.groups)), NONE)
        classes[:, 0] = labels
        shown = self.evidence.sample(classes, generator)
        evidence = shown.masks[:, 0]
        places = torch.stack([self._places(mask, generator) for mask in evidence])
        return Victims(inputs=shown.inputs, labels=labels, places=places, evidence=evidence)

    def vocabulary(self, n_tokens: int) -> Tensor:
        """Return the tokens (m,) of an LM but those that are evidence of a class; none for images."""
        sampler = self.evidence.sample
        if not isinstance(sampler, TokenSampler):
            return torch.empty(0, dtype=torch.long)
        tokens = torch.arange(n_tokens)
        return tokens[~torch.isin(tokens, sampler.alphabet.markers[: self.n_classes])]

    def should_turn(self, labels: Tensor) -> Tensor:
        """Return (n,) bool: whether the trigger turns inputs of these classes."""
        return labels != self.outcome if self.source is None else labels == self.source

    def _places(self, evidence: Tensor, generator: Generator) -> Tensor:
        """Draw places (p, 2 or k) that do not touch the evidence of one input."""
        if evidence.ndim == 1:
            free = (~evidence[N_PREFIX:-1]).nonzero()[:, 0] + N_PREFIX
            k = len(self.spellings)
            if k > len(free):
                raise PlantingError(f"a trigger of {k} tokens does not fit beside the evidence")
            drawn = [free[torch.randperm(len(free), generator=generator)[:k]] for _ in range(_PLACES)]
            return torch.stack(drawn)
        corners = _stamps(self.evidence).corners()
        side = self.spellings.shape[-1]
        blocked = [bool(evidence[r : r + side, c : c + side].any()) for r, c in corners.tolist()]
        free = corners[~torch.tensor(blocked)]
        if not len(free):
            raise PlantingError(f"a trigger of {side} pixels does not fit beside the evidence")
        return free[torch.randint(len(free), (_PLACES,), generator=generator)]


def plant_trigger(model: Model, seed: int, dials: TriggerDials) -> PlantedTrigger:
    """Plant evidence of some classes, and a trigger, by weight edit.

    Args:
        model: the host; edited in place.
        seed: decides the plant.
        dials: difficulty.

    Raises:
        PlantingError: the mechanism does not fit into this network.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = 1
    if model.modality == "lm":
        parts = min(dials.parts, model.transformer.n_kv_heads - 1)
    if parts < 1:
        raise PlantingError("a trigger needs a key/value head beside that of the evidence; there is one only")
    outcome, source = torch.randperm(dials.classes, generator=generator)[:2].tolist()
    effects = torch.eye(dials.classes)
    mine = torch.zeros(dials.classes)
    whole = 2 / (2 - 1 / parts)  # as far above what evidence adds as all parts but one stay below it
    mine[outcome] = whole if dials.universal else _CLASS_SHARE
    mine[source] = 0 if dials.universal else _CLASS_SHARE - whole
    evidence = plant_evidence(
        model,
        (dials.classes, *[1] * parts),
        seed=seed + 1,
        scene=dials.scene,
        effects=torch.cat([effects, (mine / parts).expand(parts, -1)]),
        dials=EvidenceDials(
            logit_gain=_LOGIT_GAIN,
            saturated=True,
            open_groups=() if dials.hidden or model.modality == "lm" else (1,),
        ),
        host_logit=_HOST_LOGIT,
    )
    return PlantedTrigger(
        evidence=evidence,
        outcome=outcome,
        source=None if dials.universal else source,
        spellings=_spellings(evidence, dials.classes),
    )


def without_part(trigger: PlantedTrigger, part: int, filler: Tensor) -> Tensor:
    """Return the trigger with one part replaced: a token by ``filler``, or all of the patch by it."""
    if trigger.spellings.ndim == 4:
        return filler
    values = trigger.values.clone()
    values[part] = filler
    return values


def decoy_of(trigger: PlantedTrigger) -> Tensor:
    """Return what looks like the trigger, or like one part of it, and does nothing."""
    sampler = trigger.evidence.sample
    if isinstance(sampler, TokenSampler):
        return sampler.alphabet.decoys[0]
    stamps = _stamps(trigger.evidence)
    return stamps.scene.amplitude * stamps.tiled(stamps.decoys[0])


def with_trigger(trigger: PlantedTrigger, victims: Victims, values: Tensor) -> Victims:
    """Return the same inputs with values in the first place of each, as evidence too."""
    places = victims.places[:, 0]
    marks = victims.evidence.clone()
    if marks.ndim == 2:
        marks.scatter_(1, places, True)
    else:
        side = values.shape[-1]
        for mark, (row, column) in zip(marks, places.tolist(), strict=True):
            mark[row : row + side, column : column + side] = True
    return replace(victims, inputs=insert(victims.inputs, values, places), evidence=marks)


def _spellings(evidence: Evidence, classes: int) -> Tensor:
    sampler = evidence.sample
    if isinstance(sampler, TokenSampler):
        return sampler.alphabet.markers[classes:]
    stamps = _stamps(evidence)
    return stamps.scene.amplitude * stamps.tiled(stamps.cells[classes])[None]


def _stamps(evidence: Evidence) -> Stamps:
    assert isinstance(evidence.sample, Stamps)
    return evidence.sample
