"""What a straight line through models of other sizes says of a model of a given size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from interp_bench.analysis.stats import LEVEL, Interval, mean, student_quantile

FEWEST = 3
"""Models without which there is no line with bounds."""

_TAIL = (1.0 - LEVEL) / 2
_STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Where a new model lies: Student's t around ``centre``.

    Attributes:
        centre: what the line says.
        error: scale of the distribution; infinite for fewer than ``FEWEST`` models.
        free: its degrees of freedom.
        n: how many models it rests on.
    """

    centre: float
    error: float
    free: int
    n: int

    @property
    def interval(self) -> Interval:
        """The centre with the prediction interval."""
        half = math.inf if math.isinf(self.error) else self.error * student_quantile(_TAIL, self.free)
        return Interval(mean=self.centre, low=self.centre - half, high=self.centre + half, n=self.n)

    @property
    def skill(self) -> Interval:
        """The expectation and the bounds of a skill, with what lies outside of 0 to 1 counted as 0 or 1.

        The expectation is the integral from 0 to 1 of the chance to lie above; where the spread is wide it
        is drawn to the middle, so that what is hardly known does not look best. Without a spread it is
        the centre.
        """
        whole = self.interval
        low, mean, high = (min(max(value, 0.0), 1.0) for value in (whole.low, whole.mean, whole.high))
        if 0 < self.error < math.inf:
            steps = (np.arange(_STEPS) + 0.5) / _STEPS
            mean = float(stdtr(self.free, (self.centre - steps) / self.error).mean())
        return Interval(mean=mean, low=min(low, mean), high=max(high, mean), n=self.n)


def predicted(sizes: Sequence[float], values: Sequence[float], at: float) -> Prediction:
    """Return where a new model of a size lies, by least squares.

    With n models the error is ``s sqrt(1 + 1 / n + (x - mean x)^2 / Sxx)``, s^2 the sum of squared
    residuals over the n - 2 degrees of freedom: where a new model lies, not where the line does. Where
    all models have one size there is no slope, and it is ``s sqrt(1 + 1 / n)`` around the mean with n - 1.

    Args:
        sizes: parameters of each model, at least one.
        values: a value of each.
        at: parameters of the new one.

    Returns:
        The prediction; around the mean of the values for fewer than ``FEWEST`` models.
    """
    count = len(sizes)
    x, y = np.log10(np.asarray(sizes, dtype=float)), np.asarray(values, dtype=float)
    if count < FEWEST:
        return Prediction(centre=mean(list(values)), error=math.inf, free=0, n=count)
    apart, away = x - x.mean(), math.log10(at) - float(x.mean())
    spread = float(apart @ apart)
    slope = float(apart @ y) / spread if spread > 0 else 0.0
    residuals = y - y.mean() - slope * apart
    free = count - (2 if spread > 0 else 1)
    far = away**2 / spread if spread > 0 else 0.0
    error = math.sqrt(float(residuals @ residuals) / free * (1 + 1 / count + far))
    return Prediction(centre=float(y.mean()) + slope * away, error=error, free=free, n=count)
