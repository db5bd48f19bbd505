"""Patches that a class likes best by itself: its logit is climbed on a black image, without any data."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem

_IMAGES = Needs(modalities=("image",))
_CANVASES = 4


@technique(
    cites="Erhan et al. 2009, Visualizing higher-layer features of a deep network (eq. 1)",
    access="gradients",
    cost="steps forwards + steps backwards",
    needs=_IMAGES,
)
def activation_maximisation(problem: TriggerProblem, *, steps: int = 40, rate: float = 0.1) -> Trigger:
    """The patch on a black image that raises the logit of the outcome the most, by gradient ascent.

    The paper maximises a unit's activation over inputs of one norm. Here the largest pixel is held at the
    bound instead, which is what an answer is limited by; it starts from faint noise, as in the paper.

    Note:
        At the floor on the ConvNeXt of the quick tier (skill 0.03); on a vision transformer (vit-slim-200k)
        it turned 79% of the inputs or more, on two seeds.

    Args:
        problem: the problem.
        steps: of gradient ascent.
        rate: how far the pixel with the largest slope moves in a step, as a share of the bound.
    """
    generator, blank = problem.generator(), _blank(problem)
    values = 0.01 * problem.bound * (2 * torch.rand(problem.shape, generator=generator) - 1)
    for _ in range(steps):
        leaf = values.requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(_logit(blank, leaf, blank.draw_places(generator)), leaf)
        largest = slope.abs().max().clamp_min(torch.finfo(slope.dtype).tiny)
        values = leaf.detach() + rate * problem.bound * slope / largest
        values = values * (problem.bound / values.abs().max()).clamp(max=1)
    return Trigger(values=values * (problem.bound / values.abs().max()))


@technique(
    cites="Olah, Mordvintsev and Schubert 2017, Feature visualization (Fourier basis, transformations)",
    access="gradients",
    cost="steps forwards + steps backwards",
    needs=_IMAGES,
)
def feature_visualisation(
    problem: TriggerProblem, *, steps: int = 60, rate: float = 0.05, jitter: int = 0
) -> Trigger:
    """Climbs the outcome's logit in the Fourier basis, each frequency at equal energy, place by place.

    As in the article (and its code, lucid): Adam with step 0.05, spectra divided by their frequency, a
    squashing function for the bound. Of its transformations there are shifts, from one place of the trigger
    to another; one more pixel of ``jitter`` leaves the grid on which these networks cut images, and finds
    nothing (a vit: 1.00 without, 0.00 with it). Left out are rotations and scalings, which a few pixels do
    not survive, and its decorrelation of colours, which belongs to photographs.

    Note:
        On the ConvNeXt of the quick tier its seeds differ too much for a lower bound above 0; on a vision
        transformer (vit-slim-200k) it turns every input.

    Args:
        problem: the problem.
        steps: of Adam.
        rate: its step.
        jitter: most pixels by which the patch is shifted besides.
    """
    generator, blank = problem.generator(), _blank(problem)
    weights = frequency_weights(problem.shape[-1])
    spectrum = 0.01 * torch.randn(3, *weights.shape, 2, generator=generator)
    spectrum.requires_grad_()
    adam = torch.optim.Adam([spectrum], lr=rate)
    for _ in range(steps):
        places = _shifted(blank, blank.draw_places(generator), jitter, generator)
        with torch.enable_grad():
            values = _picture(spectrum, weights, problem)
            (slope,) = torch.autograd.grad(-_logit(blank, values, places), spectrum)
        spectrum.grad = slope
        adam.step()
    return Trigger(values=_picture(spectrum.detach(), weights, problem))


def frequency_weights(side: int) -> Tensor:
    """Return (side, side // 2 + 1), one over the frequency (cycles a pixel, at least one a side), by side."""
    rows, columns = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]
    distance: Tensor = (rows.square() + columns.square()).sqrt().clamp_min(1 / side)
    return distance.reciprocal()


def _picture(spectrum: Tensor, weights: Tensor, problem: TriggerProblem) -> Tensor:
    """Return the patch (3, side, side) of a spectrum (3, side, side // 2 + 1, 2)."""
    side = problem.shape[-1]
    scaled = torch.view_as_complex(spectrum * weights[..., None])
    picture: Tensor = torch.fft.irfft2(scaled, s=(side, side), norm="ortho")
    return problem.bound * picture.tanh()


def _blank(problem: TriggerProblem) -> TriggerProblem:
    """Return the problem on a few black images with the same places."""
    few = min(_CANVASES, len(problem.inputs))
    return replace(problem, inputs=torch.zeros_like(problem.inputs[:few]), places=problem.places[:few])


def _logit(problem: TriggerProblem, values: Tensor, places: Tensor) -> Tensor:
    """Return the mean logit of the outcome with the patch at places."""
    logits = problem.class_logits(problem.model(problem.insert(values, places)))
    return logits[:, problem.outcome].float().mean()


def _shifted(problem: TriggerProblem, corners: Tensor, jitter: int, generator: torch.Generator) -> Tensor:
    """Return corners (n, 2) moved by up to ``jitter`` pixels, within the image."""
    moved = corners + torch.randint(-jitter, jitter + 1, corners.shape, generator=generator)
    most = torch.tensor(problem.inputs.shape[-2:]) - problem.shape[-1]
    return moved.clamp_min(0).minimum(most)
