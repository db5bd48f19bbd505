"""Backpropagation that treats each ReLU in its own way, by captum."""

from __future__ import annotations

import warnings

from captum.attr import Deconvolution, GuidedBackprop

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique

_RELUS = Needs(modalities=("image",), kinds=("resnet",))


@technique(
    cites="Springenberg et al. 2015, Striving for simplicity; captum GuidedBackprop",
    access="gradients",
    cost="1 forward + 1 backward",
    needs=_RELUS,
)
def guided_backprop(problem: AttributionProblem) -> Saliency:
    """Gradient that only positive signals pass back through each ReLU: largest magnitude over colours."""
    return _attributed(GuidedBackprop, problem)


@technique(
    cites="Zeiler and Fergus 2014, Visualizing and understanding convolutional networks, section 2.1; "
    "captum Deconvolution",
    access="gradients",
    cost="1 forward + 1 backward",
    needs=_RELUS,
)
def deconvolution(problem: AttributionProblem) -> Saliency:
    """Gradient with a ReLU of its own in place of each ReLU's gradient: largest magnitude over colours.

    Note:
        It is at the floor on the one network of the quick tier that it runs on, resnet18 with random
        weights (skill 0.02); why was not looked into.
    """
    return _attributed(Deconvolution, problem)


def _attributed(kind: type[GuidedBackprop | Deconvolution], problem: AttributionProblem) -> Saliency:
    problem.model.meter.forwards += 1
    problem.model.meter.backwards += 1
    with warnings.catch_warnings():
        # captum announces that it hooks the ReLUs until it returns.
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU activations")
        values = kind(problem.model.module).attribute(
            problem.inputs.clone().requires_grad_(), target=problem.outputs
        )
    return Saliency(values=values.detach().abs().amax(1))
