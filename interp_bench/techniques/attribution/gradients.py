"""Gradient techniques, by captum: over pixels, or over the token embeddings of an LM.

What they give each colour or each dimension of an embedding is summed (signed techniques) or
reduced to its largest magnitude or its length (saliency and its average).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from torch import Tensor

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import technique


@technique(
    cites="Simonyan et al. 2014, Deep inside convolutional networks; captum Saliency",
    access="gradients",
    cost="1 forward + 1 backward",
)
def saliency(problem: AttributionProblem) -> Saliency:
    """Magnitude of the gradient: largest over colours, or length over the embedding."""
    gradients = CaptumSaliency(problem.feature_logit).attribute(
        _leaf(problem.features()), abs=False, additional_forward_args=problem.outputs
    )
    return Saliency(values=_magnitude(problem, gradients))


@technique(
    cites="Shrikumar et al. 2016, Not just a black box; captum InputXGradient",
    access="gradients",
    cost="1 forward + 1 backward",
)
def input_x_gradient(problem: AttributionProblem) -> Saliency:
    """Input times gradient, summed over colours or embedding."""
    values = InputXGradient(problem.feature_logit).attribute(
        _leaf(problem.features()), additional_forward_args=problem.outputs
    )
    return Saliency(values=values.detach().sum(problem.feature_axis))


@technique(
    cites="Sundararajan et al. 2017, Axiomatic attribution for deep networks; captum IntegratedGradients",
    access="gradients",
    cost="n_steps forwards + n_steps backwards",
)
def integrated_gradients(problem: AttributionProblem, *, n_steps: int = 16) -> Saliency:
    """Gradient along the way from the reference to the input, times the way, summed.

    Args:
        problem: the problem.
        n_steps: points on the way.
    """
    features = problem.features()
    values = IntegratedGradients(problem.feature_logit).attribute(
        _leaf(features),
        baselines=problem.reference_features(),
        additional_forward_args=problem.outputs,
        n_steps=n_steps,
        internal_batch_size=max(len(features), 64),
    )
    return Saliency(values=values.detach().sum(problem.feature_axis))


@technique(
    cites="Smilkov et al. 2017, SmoothGrad; captum NoiseTunnel over Saliency",
    access="gradients",
    cost="n_samples forwards + n_samples backwards",
)
def smooth_grad(problem: AttributionProblem, *, n_samples: int = 8, noise: float = 0.15) -> Saliency:
    """Gradient averaged over noisy copies (noise as a share of the range of the input), its magnitude.

    Args:
        problem: the problem.
        n_samples: noisy copies of each input.
        noise: standard deviation of the noise, as a share of the range of the features.
    """
    features = problem.features().float()  # captum's noise is of 32 bits
    spread = float(noise * (features.max() - features.min()))

    def logit(noisy: Tensor, outputs: Tensor) -> Tensor:
        return problem.feature_logit(noisy.to(problem.model.dtype), outputs)

    with _seeded(problem):
        gradients = NoiseTunnel(CaptumSaliency(logit)).attribute(
            _leaf(features),
            nt_type="smoothgrad",
            nt_samples=n_samples,
            nt_samples_batch_size=1,
            stdevs=spread,
            abs=False,
            additional_forward_args=problem.outputs,
        )
    return Saliency(values=_magnitude(problem, gradients))


def _leaf(features: Tensor) -> Tensor:
    return features.detach().requires_grad_()


def _magnitude(problem: AttributionProblem, gradients: Tensor) -> Tensor:
    gradients = gradients.detach()
    if problem.model.modality == "image":
        return gradients.abs().amax(problem.feature_axis)
    return gradients.square().sum(problem.feature_axis).sqrt()


@contextmanager
def _seeded(problem: AttributionProblem) -> Iterator[None]:
    """Seed torch's global generator, which captum draws from, and restore it afterwards."""
    device = problem.inputs.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(problem.seed)
        yield
