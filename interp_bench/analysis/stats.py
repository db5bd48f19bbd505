"""Means and their intervals: the only statistics that every other table rests on.

Over seeds and over models the interval is Student's t: there are three to a dozen of them, of which a
bootstrap has too few different resamples (three values have ten), while skill is a mean and near normal.
Over techniques, of which there are many and of a statistic that is no mean, it is the bootstrap's BCa: see
``analysis.concordance``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

LEVEL = 0.95
ROUNDING = 1e-9
_TINY = 1e-280
"""Below this, squares lose figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: the arithmetic mean.
        low: lower bound; minus infinity when one value says nothing of the spread.
        high: upper bound; plus infinity likewise.
        n: how many values it rests on.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def bounded(self) -> bool:
        """Whether there were enough values for finite bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def half(self) -> float:
        """Half the width of the interval; infinite when it is not bounded."""
        return (self.high - self.low) / 2

    def contains(self, value: float) -> bool:
        """Return whether a value lies in the interval, but for rounding."""
        return self.low - ROUNDING <= value <= self.high + ROUNDING


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean of finite values, at least one; it is finite too."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        small = math.fsum(math.ldexp(value, -64) for value in values) / len(values)
        return math.ldexp(small, 64)


def t_interval(values: Sequence[float], *, comparisons: int = 1, level: float = LEVEL) -> Interval:
    """Return the mean of values with Student's t interval.

    Args:
        values: independent measurements, at least one.
        comparisons: how many intervals are to hold together; Bonferroni divides the error by it.
        level: confidence that all of them hold.

    Returns:
        The interval; its bounds are infinite for a single value.

    Raises:
        ValueError: there are no values, one is not finite, or ``comparisons`` is less than 1.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("an interval needs finite values")
    if comparisons < 1:
        raise ValueError(f"comparisons is {comparisons}; it starts at 1")
    centre = mean(values)
    if len(values) == 1:
        return Interval(mean=centre, low=-math.inf, high=math.inf, n=1)
    error = (1.0 - level) / comparisons
    quantile = student_quantile(error / 2, len(values) - 1)
    try:
        half = quantile * deviation(values) / math.sqrt(len(values))
    except OverflowError:
        half = math.inf
    return Interval(mean=centre, low=centre - half, high=centre + half, n=len(values))


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation of at least two finite values; exactly 0 where all are equal.

    Raises:
        OverflowError: it is too large for a float.
    """
    if min(values) == max(values):
        return 0.0
    centre = mean(values)
    squares = math.fsum((value - centre) * (value - centre) for value in values)
    # Fractions are right for values of any size, but take ten times as long as squares do where these fit.
    if not _TINY < squares < math.inf:
        return statistics.stdev(values)
    return math.sqrt(squares / (len(values) - 1))


def student_quantile(tail: float, free: int) -> float:
    """Return what Student's t with ``free`` degrees of freedom exceeds with probability ``tail``."""
    # scipy.stats.t gives the same to the last bit, but takes 700 times as long, and a board has many cells.
    return -float(stdtrit(free, tail))


def student_tail(value: float, free: int) -> float:
    """Return the probability that Student's t with ``free`` degrees of freedom exceeds a value."""
    return float(stdtr(free, -value))
