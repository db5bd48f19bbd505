"""Kendall's tau with a bootstrap interval: whether two rankings of the same techniques agree."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap, kendalltau

from interp_bench.analysis.stats import LEVEL, Interval

RESAMPLES = 999
FEWEST = 5
"""Fewer techniques than this have no interval: a resample of so few is mostly ties."""


def concordance(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Return Kendall's tau-b of two lists of skills with an interval over techniques.

    The interval is the bootstrap one, bias-corrected and accelerated (BCa: Efron 1987), over
    techniques, which are many enough for it where seeds are not. It is -1 to 1, which is all that tau can
    be, where there are fewer than ``FEWEST`` techniques or every resample gives the same.

    Args:
        first: skill of each technique on one model.
        second: skill of the same techniques on another.

    Returns:
        None where one list is constant or shorter than 2, so that there is no ranking.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} skills cannot be paired with {len(second)}")
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    # Full agreement comes out of scipy as 1 but for rounding.
    tau = round(float(kendalltau(first, second).statistic), 12)
    low, high = _bounds(first, second) if len(first) >= FEWEST else (-1.0, 1.0)
    return Interval(mean=tau, low=min(low, tau), high=max(high, tau), n=len(first))


def _bounds(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    signs = [np.sign(np.subtract.outer(values, values)) for values in (first, second)]
    agreement, *untied = (signs[0] * signs[1], signs[0] ** 2, signs[1] ** 2)

    def statistic(drawn: npt.NDArray[np.intp], axis: int) -> npt.NDArray[np.float64]:
        """Return tau-b of each resample, from how often each technique was drawn."""
        shape = drawn.shape[:-1]
        flat = drawn.reshape(-1, drawn.shape[-1])
        places = flat + len(first) * np.arange(len(flat))[:, None]
        counts = np.bincount(places.ravel(), minlength=len(flat) * len(first)).astype(np.float64)
        counts = counts.reshape(len(flat), len(first))
        pairs, one, other = (
            np.einsum("bi,bi->b", counts @ matrix, counts) for matrix in (agreement, *untied)
        )
        scale = np.sqrt(one * other)
        return np.where(scale > 0, pairs / np.where(scale > 0, scale, 1.0), 0.0).reshape(shape)

    with warnings.catch_warnings():
        # Where every resample gives the same, there are no bounds, which is seen below.
        warnings.simplefilter("ignore")
        found = bootstrap(
            (np.arange(len(first)),),
            statistic,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if np.isfinite([low, high]).all() and low < high else (-1.0, 1.0)
