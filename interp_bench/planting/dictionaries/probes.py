"""A few inputs on which every feature fires, and a place of its own for each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from interp_bench.planting.dictionaries.plant import PlantedDictionary

_LOUD = 0.25
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Inputs on which features fire, and one place for each feature.

    Attributes:
        inputs: (n_probes,) indices of inputs.
        row, position: (n_placed,) where a feature is cut, ``row`` counting probes.
        feature: (n_placed,) which feature it is; no place is used twice.
    """

    inputs: Tensor
    row: Tensor
    position: Tensor
    feature: Tensor


def find_probes(planted: PlantedDictionary, features: Tensor) -> Probes:
    """Find places where each of ``features`` (k,) is loud by its own unit; some may be left without one."""
    mine = planted.outputs[..., features.to(planted.outputs.device)].cpu().double().flatten(0, 1)
    strength = torch.zeros_like(mine)
    strength[planted.rows] = mine[planted.rows]
    strength = (strength / strength.amax(0).clamp(min=_TINY)).unflatten(0, planted.outputs.shape[:2])
    for times in (2, 4, 8):
        found = _place(strength, torch.tensor(_cover(strength.amax(1) > _LOUD, times)), features)
        if len(found.feature) == len(features):
            break
    return found


def _place(strength: Tensor, chosen: Tensor, features: Tensor) -> Probes:
    """Give each feature a place of its own where it is loud, as far as there are enough of them."""
    near = strength[chosen].clamp(min=0).flatten(0, 1)
    place, column = (torch.as_tensor(index) for index in linear_sum_assignment(near.numpy(), maximize=True))
    loud = near[place, column] > _LOUD / 2
    place, column = place[loud], column[loud]
    length = strength.shape[1]
    return Probes(inputs=chosen, row=place // length, position=place % length, feature=features[column])


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
