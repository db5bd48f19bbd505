"""Gradient techniques, by captum: over pixels, or over the token embeddings of an LM.

What they give each colour or each dimension of an embedding is summed (signed techniques) or
reduced to its largest magnitude or its length (saliency and its average).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import GradientShap, InputXGradient, IntegratedGradients, NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from torch import Tensor

from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique


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
        problem: what to explain.
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
        problem: what to explain.
        n_samples: noisy copies of each input.
        noise: standard deviation of the noise, as a share of the range of the features.
    """
    features = problem.features()
    spread = float(noise * (features.max() - features.min()))
    with _seeded(problem):
        gradients = NoiseTunnel(CaptumSaliency(_of_noisy(problem))).attribute(
            _leaf(features),
            nt_type="smoothgrad",
            nt_samples=n_samples,
            nt_samples_batch_size=1,
            stdevs=spread,
            abs=False,
            additional_forward_args=problem.outputs,
        )
    return Saliency(values=_magnitude(problem, gradients))


@technique(
    cites="Lundberg and Lee 2017, A unified approach to interpreting model predictions; captum GradientShap",
    access="gradients",
    cost="n_samples forwards + n_samples backwards",
    quick=Needs(max_params=1_000_000),
)
def gradient_shap(problem: AttributionProblem, *, n_samples: int = 16, noise: float = 0.0) -> Saliency:
    """Gradient at random points on the way from random references, times the way, summed.

    Args:
        problem: what to explain.
        n_samples: points for each input; captum takes 5, fewer than its integrated gradients.
        noise: standard deviation of what is added to the input.
    """
    features, reference = problem.features(), problem.reference_features()
    total = torch.zeros_like(features)
    with _seeded(problem):
        for _ in range(n_samples):
            total += (
                GradientShap(_of_noisy(problem))
                .attribute(
                    _leaf(features),
                    baselines=reference,
                    additional_forward_args=problem.outputs,
                    n_samples=1,
                    stdevs=noise,
                )
                .detach()
            )
    return Saliency(values=(total / n_samples).sum(problem.feature_axis))


def _leaf(features: Tensor) -> Tensor:
    return features.detach().requires_grad_()


def _of_noisy(problem: AttributionProblem) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the logit to explain as a function of features to which captum has added float32 noise."""
    return lambda features, outputs: problem.feature_logit(features.to(problem.model.dtype), outputs)


def _magnitude(problem: AttributionProblem, gradients: Tensor) -> Tensor:
    gradients = gradients.detach()
    if problem.model.modality == "image":
        return gradients.abs().amax(problem.feature_axis)
    return gradients.square().sum(problem.feature_axis).sqrt()


@contextmanager
def _seeded(problem: AttributionProblem) -> Iterator[None]:
    """Seed the global generators that captum draws from, torch's and numpy's, and restore them afterwards."""
    device = problem.inputs.device
    before = np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(problem.seed)
            np.random.seed(problem.seed % 2**32)
            yield
    finally:
        np.random.set_state(before)
