"""Patches made of a mask and a pattern, both optimised, where the smallest mask that works is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem

_IMAGES = Needs(modalities=("image",))
_SMALL = Needs(modalities=("image",), max_params=100_000)
_SUCCESS = 0.99
_FEW = 6
_STEADY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A patch in the making.

    Attributes:
        mask: (1, side, side) from 0 to 1.
        pattern: (3, side, side) within the bound.
    """

    mask: Tensor
    pattern: Tensor

    @property
    def values(self) -> Tensor:
        """The patch (3, side, side)."""
        return self.mask * self.pattern


Penalty = Callable[[Masked, Tensor], Tensor]
"""What is added to the loss, given the patch and its places."""


@technique(
    cites="Wang et al. 2019, Neural Cleanse (eq. 3, section IV)",
    access="gradients",
    cost="steps forwards + steps backwards",
    needs=_IMAGES,
    quick=_SMALL,
)
def neural_cleanse(
    problem: TriggerProblem, *, steps: int = 40, rate: float = 0.1, cost: float = 1e-3, patience: int = 5
) -> Trigger:
    """The smallest mask (L1) with a pattern that turns the inputs; the weight of its size adapts.

    The schedule is that of the authors' code: the weight doubles after ``patience`` steps at 99% success,
    and falls to 2 ** -1.5 of itself after as many below. The paper's last step, which tells by the outlying
    size of its mask which class is the outcome (anomaly index above 2), has nothing to do: problems name
    the outcome. A patch is added to the pixels here, and does not replace them.

    Args:
        problem: the problem.
        steps: of Adam; the paper takes epochs.
        rate: its step, in the units of a tanh.
        cost: first weight of the mask's L1 norm.
        patience: steps until the weight changes.
    """
    weight = _Weight(cost, patience)

    def size(patch: Masked, places: Tensor) -> Tensor:
        return weight.value * patch.mask.sum()

    return Trigger(values=_optimised(problem, steps, rate, size, weight))


@technique(
    cites="Guo et al. 2019, TABOR (R1 to R4)",
    access="gradients",
    cost="3 steps forwards + steps backwards",
    needs=_IMAGES,
    quick=_SMALL,
)
def tabor(
    problem: TriggerProblem, *, steps: int = 40, rate: float = 0.1, size: float = 1e-3, blocking: float = 0.1
) -> Trigger:
    """Mask and pattern, kept small, smooth and on the object of the trigger by four penalties.

    Elastic nets on the mask and on the pattern outside it (R1), squared differences of neighbours in both
    (R2), the loss of inputs whose masked part is blanked against their own classes (R3), and of the patch
    alone on black against the outcome (R4). The weights are fixed here; the paper lowers and raises them.

    Args:
        problem: the problem.
        steps: of Adam.
        rate: its step, in the units of a tanh.
        size: weight of R1 and R2.
        blocking: weight of R3 and R4.
    """

    def penalty(patch: Masked, places: Tensor) -> Tensor:
        outside = (1 - patch.mask) * patch.pattern / problem.bound
        small = elastic(patch.mask) + elastic(outside) + roughness(patch.mask) + roughness(outside)
        return size * small + blocking * (_blocked(problem, patch, places) + _alone(problem, patch, places))

    return Trigger(values=_optimised(problem, steps, rate, penalty, None))


def elastic(values: Tensor) -> Tensor:
    """Return the sum of magnitudes and of squares."""
    return values.abs().sum() + values.square().sum()


def roughness(values: Tensor) -> Tensor:
    """Return the sum of squared differences of neighbours in (c, height, width)."""
    return values.diff(dim=1).square().sum() + values.diff(dim=2).square().sum()


class _Weight:
    """The weight of the mask's size: raised while the patch works, lowered while it does not."""

    def __init__(self, value: float, patience: int) -> None:
        self.value, self._patience = value, patience
        self._runs = {True: 0, False: 0}

    def heed(self, works: bool) -> None:
        """Count a step; the authors' code doubles the weight, and divides by 2 ** 1.5."""
        self._runs[works] += 1
        self._runs[not works] = 0
        if self._runs[works] >= self._patience:
            self._runs[works] = 0
            self.value *= 2.0 if works else 2.0**-1.5


def _optimised(
    problem: TriggerProblem, steps: int, rate: float, penalty: Penalty, weight: _Weight | None
) -> Tensor:
    """Return the patch with the smallest mask of those that worked for a while, or the last one.

    For a while is for so many steps in turn, which takes the place of the paper's epoch: the first patch
    that turns its own inputs by a hair has the smallest mask and fails on others.
    """
    generator = problem.generator()
    leaves = [torch.zeros(1, *problem.shape[1:]), 0.01 * torch.randn(problem.shape, generator=generator)]
    adam = torch.optim.Adam([leaf.requires_grad_() for leaf in leaves], lr=rate, betas=(0.5, 0.9))
    smallest, best, steady = float("inf"), torch.zeros(problem.shape), 0
    for _ in range(steps):
        places = problem.draw_places(generator)
        with torch.enable_grad():
            patch = _patch(leaves, problem)
            logits = problem.class_logits(problem.model(problem.insert(patch.values, places)))
            loss = problem.loss(logits) + penalty(patch, places)
            slopes = torch.autograd.grad(loss, leaves)
        works = float((logits.argmax(1).cpu() == problem.wanted).double().mean()) >= _SUCCESS
        size = float(patch.mask.detach().sum())
        steady = steady + 1 if works else 0
        if steady >= _STEADY and size < smallest:
            smallest, best = size, patch.values.detach()
        if weight is not None:
            weight.heed(works)
        for leaf, slope in zip(leaves, slopes, strict=True):
            leaf.grad = slope
        adam.step()
    return best if smallest < float("inf") else _patch(leaves, problem).values.detach()


def _patch(leaves: list[Tensor], problem: TriggerProblem) -> Masked:
    return Masked(mask=(leaves[0].tanh() + 1) / 2, pattern=problem.bound * leaves[1].tanh())


def _blocked(problem: TriggerProblem, patch: Masked, places: Tensor) -> Tensor:
    """Return the loss against their own classes of a few inputs whose pixels under the mask are blanked."""
    few = slice(_FEW)
    covered = _on_black(problem, patch.mask.expand(problem.shape), places[few])
    logits = problem.class_logits(problem.model(problem.inputs[few] * (1 - covered)))
    return functional.cross_entropy(logits.float(), problem.labels[few].to(logits.device))


def _alone(problem: TriggerProblem, patch: Masked, places: Tensor) -> Tensor:
    """Return the loss against the outcome of the patch alone on black."""
    logits = problem.class_logits(problem.model(_on_black(problem, patch.values, places[:_FEW])))
    outcome = torch.full((len(logits),), problem.outcome, device=logits.device)
    return functional.cross_entropy(logits.float(), outcome)


def _on_black(problem: TriggerProblem, values: Tensor, places: Tensor) -> Tensor:
    """Return black images (n, 3, height, width) with values (3, side, side) at places (n, 2)."""
    black = replace(problem, inputs=torch.zeros_like(problem.inputs[: len(places)]))
    return black.insert(values, places)
