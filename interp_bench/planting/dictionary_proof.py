"""Prove by intervention that a planted dictionary is what the site holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.certificate import Certificate, Check
from interp_bench.planting.dictionary import PlantedDictionary
from interp_bench.planting.passes import read_sites

_HOST_UNITS = 32
_LOUD = 0.25
_TINY = 1e-12


def certify_dictionary(model: Model, planted: PlantedDictionary) -> Certificate:
    """Measure on the live network that each unit adds its code along its direction, and nothing else.

    - ``firing agreement``: F1 of the units' outputs above zero against the detectors' prediction.
    - ``rarest feature``, ``commonest feature``: each fires sometimes, none always.
    - ``sufficiency error``: with all units cut, the site loses exactly codes times directions.
    - ``direction``: with one unit cut at one position, the least |cosine| of what the site loses
      there with the unit's direction, over all features; nothing of the host's old direction is left.
    - ``amplitude error``: of that loss against the unit's code, root mean square over features.
    - ``spill``: the share of the loss at positions where nothing was cut.
    - ``dependence on the host``: with random host units cut together, the error of sufficiency.
    """
    probes = _probes(planted)
    site = _Runner(model, planted, probes)
    whole = site.run(None)
    checks = [*_firing_checks(planted), *_joint_checks(site, planted, whole)]
    return Certificate(checks=(*checks, *_single_checks(site, planted, probes, whole)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probes:
    """Inputs on which every feature fires, and one place for each feature.

    Attributes:
        inputs: (n_probes,) indices of inputs.
        row, position: (n_placed,) where a feature is cut, ``row`` counting probes.
        feature: (n_placed,) which feature it is; no place is used twice.
    """

    inputs: Tensor
    row: Tensor
    position: Tensor
    feature: Tensor


def _probes(planted: PlantedDictionary) -> _Probes:
    strength = torch.zeros_like(planted.outputs, dtype=torch.float64, device="cpu")
    strength.flatten(0, 1)[planted.rows] = planted.outputs.cpu().double().flatten(0, 1)[planted.rows]
    strength = strength / strength.flatten(0, 1).amax(0).clamp(min=_TINY)
    for times in (2, 4, 8):
        found = _place(strength, torch.tensor(_cover(strength.amax(1) > _LOUD, times)))
        if len(found.feature) == len(planted.units):
            break
    return found


def _place(strength: Tensor, chosen: Tensor) -> _Probes:
    """Give each feature a place of its own where it is loud, as far as there are enough of them."""
    near = strength[chosen].clamp(min=0).flatten(0, 1)
    place, feature = (torch.as_tensor(index) for index in linear_sum_assignment(near.numpy(), maximize=True))
    loud = near[place, feature] > _LOUD / 2
    place, feature = place[loud], feature[loud]
    length = strength.shape[1]
    return _Probes(inputs=chosen, row=place // length, position=place % length, feature=feature)


def _cover(loud: Tensor, times: int) -> list[int]:
    """Choose few rows of ``loud`` (n, k): each column is True in ``times`` of them, where it can be."""
    missing = loud.sum(0).clamp(max=times)
    free = loud.clone()
    chosen: list[int] = []
    while int(missing.sum()) > 0:
        best = int((free & (missing > 0)).sum(1).argmax())
        chosen.append(best)
        missing = (missing - free[best].long()).clamp(min=0)
        free[best] = False
    return chosen


def _firing_checks(planted: PlantedDictionary) -> list[Check]:
    fires, predicted = planted.codes > 0, planted.predicted
    agreement = 2 * (fires & predicted).sum() / (fires.sum() + predicted.sum()).clamp(min=1)
    rates = fires.double().mean(0)
    return [
        Check(name="firing agreement", value=float(agreement), relation=">=", bound=0.95),
        Check(name="rarest feature", value=float(rates.min()), relation=">=", bound=1e-3),
        Check(name="commonest feature", value=float(rates.max()), relation="<=", bound=0.5),
    ]


def _joint_checks(site: _Runner, planted: PlantedDictionary, whole: Tensor) -> list[Check]:
    host = torch.ones(planted.branch.n_units, dtype=torch.bool)
    host[planted.units] = False
    others = host.nonzero().flatten()
    generator = torch.Generator().manual_seed(0)
    others = others[torch.randperm(len(others), generator=generator)[:_HOST_UNITS]]
    both = torch.cat([others, planted.units])
    expected = site.outputs * planted.gains @ planted.directions
    lost = whole - site.run(_cut(planted.units))
    alone = site.run(_cut(others)) - site.run(_cut(both))
    return [
        Check(name="sufficiency error", value=_error(lost, expected), relation="<=", bound=0.05),
        Check(
            name="dependence on the host",
            value=_error(alone, expected),
            relation="<=",
            bound=0.05,
        ),
    ]


def _single_checks(site: _Runner, planted: PlantedDictionary, probes: _Probes, whole: Tensor) -> list[Check]:
    row, position, feature = probes.row, probes.position, probes.feature

    def cut_each(hidden: Tensor) -> Tensor:
        hidden = hidden.clone()
        hidden[row, position, planted.units[feature]] = 0
        return hidden

    lost = whole - site.run(cut_each)
    mine = lost[row, position]
    directions = planted.directions[feature]
    codes = site.outputs[row, position, feature] * planted.gains[feature]
    along = F.cosine_similarity(mine, directions, dim=1).abs()
    placed = along.new_zeros(len(planted.units))  # a feature without a place of its own counts as missed
    placed[feature] = along
    elsewhere = lost.clone()
    elsewhere[row, position] = 0
    spill = elsewhere.norm() / lost.norm().clamp(min=_TINY)
    amplitude = ((mine * directions).sum(1) / codes - 1).square().mean().sqrt()
    return [
        Check(name="direction", value=float(placed.min()), relation=">=", bound=0.99),
        Check(name="amplitude error", value=float(amplitude), relation="<=", bound=0.05),
        Check(
            name="spill",
            value=float(spill),
            relation="<=",
            bound=0.01,
        ),
    ]


class _Runner:
    """Reads the site on the probes with hidden units edited, in float64 on the CPU."""

    def __init__(self, model: Model, planted: PlantedDictionary, probes: _Probes) -> None:
        self._model = model
        self._branch = planted.branch
        self._inputs = planted.inputs[probes.inputs.to(planted.inputs.device)]
        self.outputs = planted.outputs.cpu()[probes.inputs].double()

    def run(self, edit: Callable[[Tensor], Tensor] | None) -> Tensor:
        patches = {self._branch.hidden: edit or torch.clone}
        (values,) = read_sites(self._model, self._inputs, (self._branch.site,), patches=patches)
        return values.double().cpu()


def _cut(units: Tensor) -> Callable[[Tensor], Tensor]:
    def edit(hidden: Tensor) -> Tensor:
        return hidden.index_fill(-1, units.to(hidden.device), 0)

    return edit


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=_TINY))
