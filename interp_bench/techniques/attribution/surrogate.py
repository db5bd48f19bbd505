"""Surrogates: a linear model of what the output does when parts of the input are replaced.

captum has both techniques, and tests compare with it; it makes each changed input by itself, which
costs more than these small networks do.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Lasso
from torch import Tensor

from interp_bench.techniques.attribution.segments import WINDOWS, blended, squares
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import Needs, technique

Numbers = NDArray[np.float64]
_BATCH = 64
_QUICK = Needs(max_params=50_000)
_ROUNDS = 10_000  # of coordinate descent; ten times the default, for fits of few sets
_WIDTH = 0.25  # of the kernel over cosine distances, as for images in the paper's code


@technique(
    cites="Lundberg and Lee 2017, A unified approach to interpreting model predictions, theorem 2; "
    "captum KernelShap",
    access="forward",
    cost="n_samples forwards an input",
    quick=_QUICK,
)
def kernel_shap(problem: AttributionProblem, *, n_samples: int = 256, windows: int = WINDOWS) -> Saliency:
    """Shapley values of squares or tokens, by least squares over random sets of them.

    Args:
        problem: what to explain.
        n_samples: sets a fit is made of; the paper's code takes 2,048 and twice the number of parts. Where
            there are no more sets than that, all are taken, and the values are exact.
        windows: squares along one side of an image.
    """
    parts = squares(problem, windows)
    sets, weights = shapley_sets(int(parts.max()) + 1, n_samples, problem.rng)
    ends = np.stack([np.zeros(sets.shape[1]), np.ones(sets.shape[1])])
    fits = []
    for index in range(len(problem.inputs)):
        values = outcomes(problem, index, parts, np.concatenate([ends, sets]))
        fits.append(shapley_fit(sets, weights, values[2:] - values[0], float(values[1] - values[0])))
    return _spread(np.stack(fits), parts, problem)


@technique(
    cites="Ribeiro et al. 2016, Why should I trust you?, algorithm 1; captum Lime",
    access="forward",
    cost="n_samples forwards an input",
    quick=_QUICK,
)
def lime(
    problem: AttributionProblem, *, n_samples: int = 256, alpha: float = 0.01, windows: int = WINDOWS
) -> Saliency:
    """Weights of a lasso on which squares or tokens stay, where inputs near the whole one count most.

    Args:
        problem: what to explain.
        n_samples: changed inputs a fit is made of, half of the parts replaced in each; the paper's code
            takes 1,000.
        alpha: penalty of the lasso, captum's default.
        windows: squares along one side of an image.
    """
    parts = squares(problem, windows)
    sets = problem.rng.integers(0, 2, (n_samples, int(parts.max()) + 1)).astype(np.float64)
    sets[0] = 1
    fits = []
    for index in range(len(problem.inputs)):
        values = outcomes(problem, index, parts, sets)
        # The state is never drawn from; without one, scikit-learn draws from numpy's global generator.
        fitted = Lasso(alpha=alpha, max_iter=_ROUNDS, random_state=0).fit(
            sets, values, sample_weight=nearness(sets)
        )
        fits.append(fitted.coef_)
    return _spread(np.stack(fits), parts, problem)


def outcomes(problem: AttributionProblem, index: int, parts: Tensor, sets: Numbers) -> Numbers:
    """Return the logit to explain, (m,), of one input where only the parts in each set stay.

    Args:
        problem: what to explain.
        index: which input.
        parts: number of the part of each place.
        sets: (m, parts) 1 for parts that stay.
    """
    kept = torch.from_numpy(sets)[:, parts[0] if parts.ndim == 2 else parts[0, 0]]
    output = problem.outputs[index]
    with torch.no_grad():
        logits = [
            problem.logit(blended(problem, index, batch), output.expand(len(batch)))
            for batch in kept.split(_BATCH)
        ]
    values: Numbers = torch.cat(logits).double().cpu().numpy()
    return values


def shapley_sets(n_parts: int, n_samples: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Return sets (m, parts) that are neither empty nor whole, and the weight of each in the fit, (m,).

    All of them with the Shapley kernel's weights where there are at most ``n_samples``; else pairs of a
    random set and the rest, of a size that the kernel draws, with equal weights (Covert and Lee 2021).
    """
    sizes = np.arange(1, n_parts)
    if n_parts < 30 and 2**n_parts - 2 <= n_samples:
        every = np.array(list(itertools.product((0.0, 1.0), repeat=n_parts)))[1:-1]
        kernel = [(n_parts - 1) / (math.comb(n_parts, k) * k * (n_parts - k)) for k in sizes]
        return every, np.array(kernel)[every.sum(1).astype(int) - 1]
    odds = 1 / (sizes * (n_parts - sizes))
    count = rng.choice(sizes, size=n_samples // 2, p=odds / odds.sum())
    half = (rng.random((len(count), n_parts)).argsort(1).argsort(1) < count[:, None]).astype(np.float64)
    sets = np.concatenate([half, 1 - half])
    return sets, np.ones(len(sets))


def shapley_fit(sets: Numbers, weights: Numbers, gains: Numbers, whole: float) -> Numbers:
    """Return the values (parts,) that fit the gain of each set best and add up to that of all parts."""
    root = np.sqrt(weights)[:, None]
    design, rest = sets[:, :-1] - sets[:, -1:], gains - sets[:, -1] * whole
    found = np.linalg.lstsq(root * design, root[:, 0] * rest, rcond=None)[0]
    return np.append(found, whole - found.sum())


def nearness(sets: Numbers) -> Numbers:
    """Return the weight (m,) of changed inputs: a Gaussian of their cosine distance to the whole input."""
    distance = 1 - np.sqrt(sets.mean(1))
    weight: Numbers = np.exp(-(distance**2) / (2 * _WIDTH**2))
    return weight


def _spread(values: Numbers, parts: Tensor, problem: AttributionProblem) -> Saliency:
    """Give each place the value of its part."""
    by_place = torch.from_numpy(values).float()[:, parts.flatten()]
    return Saliency(values=by_place.view(problem.shape))
