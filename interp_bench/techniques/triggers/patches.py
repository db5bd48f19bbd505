"""Patches found by gradient descent on the pixels, over images and places."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem

_IMAGES = Needs(modalities=("image",))


@technique(
    cites="Goodfellow et al. 2015, Explaining and harnessing adversarial examples (fast gradient sign)",
    access="gradients",
    cost="draws forwards + draws backwards",
    needs=_IMAGES,
)
def gradient_sign(problem: TriggerProblem, *, draws: int = 4) -> Trigger:
    """The sign of the gradient at a grey patch, averaged over images and places.

    Args:
        problem: the problem.
        draws: how often places are drawn for all images.
    """
    generator = problem.generator()
    slope = sum(_gradient(problem, torch.zeros(problem.shape), generator) for _ in range(draws))
    assert isinstance(slope, Tensor)
    return Trigger(values=-problem.bound * slope.sign())


@technique(
    cites="Brown et al. 2017, Adversarial patch",
    access="gradients",
    cost="steps forwards + steps backwards",
    needs=_IMAGES,
)
def adversarial_patch(problem: TriggerProblem, *, steps: int = 40, rate: float = 0.1) -> Trigger:
    """A patch that makes the wanted classes likely, by Adam, from a blank one.

    Args:
        problem: the problem.
        steps: of Adam.
        rate: its step, as a share of the bound.
    """
    return Trigger(values=_descend(problem, steps, rate, smoothness=0.0))


@technique(
    cites="Mahendran and Vedaldi 2015, Understanding deep image representations by inverting them "
    "(total variation); Brown et al. 2017",
    access="gradients",
    cost="steps forwards + steps backwards",
    needs=_IMAGES,
)
def smooth_patch(
    problem: TriggerProblem, *, steps: int = 40, rate: float = 0.1, smoothness: float = 0.3
) -> Trigger:
    """An adversarial patch whose neighbouring pixels are pulled towards each other (total variation).

    Args:
        problem: the problem.
        steps: of Adam.
        rate: its step, as a share of the bound.
        smoothness: weight of the total variation beside the loss.
    """
    return Trigger(values=_descend(problem, steps, rate, smoothness))


def _descend(problem: TriggerProblem, steps: int, rate: float, smoothness: float) -> Tensor:
    generator = problem.generator()
    values = torch.zeros(problem.shape)
    mean, square = torch.zeros_like(values), torch.zeros_like(values)
    for step in range(1, steps + 1):
        slope = _gradient(problem, values, generator, smoothness)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        change = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-12)
        values = (values - rate * problem.bound * change).clamp(-problem.bound, problem.bound)
    return values


def _gradient(
    problem: TriggerProblem, values: Tensor, generator: torch.Generator, smoothness: float = 0.0
) -> Tensor:
    """Return the gradient of the loss with respect to the patch (3, side, side)."""
    with torch.enable_grad():
        leaf = values.clone().requires_grad_()
        inputs = problem.insert(leaf, problem.draw_places(generator))
        loss = problem.loss(problem.class_logits(problem.model(inputs)))
        if smoothness:
            loss = loss + smoothness * _variation(leaf / problem.bound)
        (slope,) = torch.autograd.grad(loss, leaf)
    return slope.detach()


def _variation(patch: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels."""
    return patch.diff(dim=1).abs().mean() + patch.diff(dim=2).abs().mean()
