"""Slopes over models that techniques share: both are drawn from many, so both widen the interval.

Two techniques on one model are no independent evidence of its size, since what makes that model hard is
shared by them. An interval over techniques alone finds a slope in 61% to 74% of boards without one, where
every model has an effect of its own.

So a slope is estimated in two steps, and its variance is the sum of what either side would give alone,
as in the quasi-F of Clark (1973, The language-as-fixed-effect fallacy, min F'):

1. An additive fit, skill = series + ease of the model, where a series is one technique on one task and one
   ladder. Techniques count alike, however many tasks they have. Missing cells are left out.
2. Least squares of the ease on the design within ladders. It errs by the models that were drawn, which
   their residuals tell (degrees of freedom: models - parts - columns of the design), or by the ladders
   that were drawn, which leaving out one at a time tells (jackknife, where that is more); and by the
   techniques that were drawn, which their deviations from the common ease tell (cluster sandwich).

The half widths of the t intervals over both add up in squares (Howe 1974).

Share of boards without a common slope in which one is found, either way (4,000 boards each, 30 techniques
with 3 tasks, 20% of cells missing; standard deviations: models 0.05, slopes of techniques 0.02, cells 0.05;
``tests/analysis/claims/test_rates.py`` draws such boards again):

=========================================== ==== ==== ===== ====
ladders                                     one  two  three five
=========================================== ==== ==== ===== ====
models and techniques differ                0.04 0.03 0.02  0.02
models alone differ                         0.05 0.03 0.01  0.02
slopes of ladders differ too, by 0.05       0.14 0.08 0.04  0.04
the same where models differ by 0.02 alone  0.34 0.10 0.04  0.05
=========================================== ==== ==== ===== ====

So a finding on one ladder or two is said to hold for these alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import t as student

from interp_bench.analysis.stats import LEVEL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Part = tuple[Floats, float]
"""A variance and its degrees of freedom."""


FEW_LADDERS = 1.5
ENOUGH_LADDERS = 2.5
"""Ladders, by ``Fit.ladders_behind``, from which what ladders differ in counts: somewhat, and in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """An effect with its 95% interval; arrays where many boards are fitted at once.

    Attributes:
        effect, low, high: in the units of the values.
    """

    effect: Floats
    low: Floats
    high: Floats

    def __neg__(self) -> Bounds:
        """Return the same for the effect turned round."""
        return Bounds(effect=-self.effect, low=-self.high, high=-self.low)

    def of(self, board: int) -> Bounds:
        """Return those of one of many boards."""
        return Bounds(effect=self.effect[board], low=self.low[board], high=self.high[board])


def smaller(first: Bounds, second: Bounds) -> Bounds:
    """Return the bounds of the smaller of two effects (intersection-union: above 0 only if both are)."""
    return Bounds(
        effect=np.minimum(first.effect, second.effect),
        low=np.minimum(first.low, second.low),
        high=np.minimum(first.high, second.high),
    )


def bounds_of(effect: Floats, parts: Sequence[Part]) -> Bounds:
    """Return an effect with the interval of a sum of errors that are independent.

    The half widths of the t intervals of the errors add up in squares (Howe 1974, Approximate confidence
    limits on the mean of X + Y). Degrees of freedom by Satterthwaite would be too many whenever the part
    with few of them came out small by chance.

    Args:
        effect: the estimate, ``(...)``.
        parts: variances of the errors, ``(...)`` each, with their degrees of freedom.
    """
    squares = [variance * student.isf((1 - LEVEL) / 2, df) ** 2 for variance, df in parts]
    half = np.sqrt(np.sum(squares, axis=0))
    return Bounds(effect=effect, low=effect - half, high=effect + half)


def wider(first: Bounds, second: Bounds, choose: npt.NDArray[np.bool_]) -> Bounds:
    """Return the first bounds, or the second where ``choose`` says so; the effect is the same."""
    return Bounds(
        effect=first.effect,
        low=np.where(choose, second.low, first.low),
        high=np.where(choose, second.high, first.high),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Which observation is of which technique, series and model, and how the ease of models follows.

    Attributes:
        technique, series, model: indices of each observation, ``(n,)``; every series has two or more.
        parts: of each model, which of the sets that no series connects it belongs to, ``(n_models,)``.
        operator: ease of the models = operator @ values, ``(n_models, n)``; mean 0 in each part.
    """

    technique: Ints
    series: Ints
    model: Ints
    parts: Ints
    operator: Floats

    @property
    def techniques(self) -> int:
        """How many techniques there are."""
        return int(self.technique.max()) + 1

    def ease(self, values: Floats) -> Floats:
        """Return how easy each model is, ``(..., n_models)``, from values ``(..., n)``."""
        found: Floats = values @ self.operator.T
        return found

    def centred(self, columns: Floats) -> Floats:
        """Return columns over models without their means in each part, ``(n_models, k)``."""
        part = np.eye(int(self.parts.max()) + 1)[self.parts]
        found: Floats = columns - part @ (part.T @ columns / part.sum(axis=0)[:, None])
        return found

    def deviations(self, values: Floats) -> Floats:
        """Return what is left of each value without its series and its model, ``(..., n)``."""
        rest = values - self.ease(values)[..., self.model]
        means = _sums(rest, self.series) / np.bincount(self.series)
        return rest - means[..., self.series]


def grid_of(technique: Ints, series: Ints, model: Ints) -> Grid:
    """Return the grid of observations, given by indices that start at 0 without gaps, ``(n,)`` each."""
    n_models, n_series = int(model.max()) + 1, int(series.max()) + 1
    member = np.zeros((n_series, n_models))
    member[series, model] = 1.0
    owner = np.zeros(n_series, dtype=np.int64)
    owner[series] = technique
    weight = 1.0 / np.bincount(owner)[owner]
    share = member * (weight / member.sum(axis=1))[:, None]
    within = -share[series].T
    within[model, np.arange(len(model))] += weight[series]
    laplacian = within @ np.eye(n_models)[model]
    _, parts = connected_components(csr_array(member.T @ member), directed=False)
    return Grid(
        technique=technique,
        series=series,
        model=model,
        parts=parts.astype(np.int64),
        operator=np.linalg.pinv(laplacian, hermitian=True) @ within,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Coefficients of a design, with their variances; leading axes where many boards are fitted at once.

    Attributes:
        coefficients: ``(..., k)``.
        models, ladders, techniques: covariances over each, ``(..., k, k)``; zeros for a single one.
        df: degrees of freedom of models and techniques.
        information: covariance over models, but for the noise, split by ladders, ``(n_ladders, k, k)``.
        intercepts: of each part, ``(..., n_parts)``.
    """

    coefficients: Floats
    models: Floats
    ladders: Floats
    techniques: Floats
    df: tuple[int, int]
    information: Floats
    intercepts: Floats

    def bounds(self, *weights: float) -> Bounds:
        """Return a weighted sum of the coefficients with its interval.

        Where ladders are enough, the wider of two intervals counts: that by which models are drawn from
        many, or that by which ladders are. Two ladders say little of ladders, so there it is the one
        of the larger variance; of a single one nothing is known.
        """
        c = np.asarray(weights)
        models, ladders, techniques = (c @ v @ c for v in (self.models, self.ladders, self.techniques))
        effect = self.coefficients @ c
        over_techniques = (techniques, max(self.df[1], 1))
        by_models = bounds_of(effect, [(models, self.df[0]), over_techniques])
        many = self.ladders_behind(*weights)
        if many < FEW_LADDERS:
            return by_models
        by_ladders = bounds_of(effect, [(ladders, many - 1), over_techniques])
        enough = many >= ENOUGH_LADDERS
        return wider(by_models, by_ladders, by_ladders.high > by_models.high if enough else ladders > models)

    def ladders_behind(self, *weights: float) -> float:
        """Return on how many ladders a weighted sum rests: fewer where one tells most of it (Kish 1965)."""
        c = np.asarray(weights)
        shares = c @ self.information @ c
        return float(shares.sum() ** 2 / (shares**2).sum())

    def partial_r2(self, column: int) -> Floats:
        """Return the share of the spread over models that one column explains beside the others."""
        variance = self.models[..., column, column]
        square = self.coefficients[..., column] ** 2
        whole = square + self.df[0] * variance
        share: Floats = np.where(whole > 0, square / np.where(whole > 0, whole, 1.0), 0.0)
        return share


def degrees(grid: Grid, columns: int = 1) -> int:
    """Return the degrees of freedom that the models leave to a design of so many columns."""
    return len(grid.parts) - (int(grid.parts.max()) + 1) - columns


def regress(grid: Grid, values: Floats, design: Floats, ladder: Ints) -> Fit:
    """Fit the ease of models by a design within the parts of a grid.

    Args:
        grid: of the observations.
        values: one an observation, ``(..., n)``.
        design: columns to fit, ``(n_models, k)``.
        ladder: index of each model's ladder, ``(n_models,)``.

    Raises:
        ValueError: the models leave no degree of freedom, or the columns depend on one another.
    """
    df = degrees(grid, design.shape[1])
    part = np.eye(int(grid.parts.max()) + 1)[grid.parts]
    centred = grid.centred(design)
    if df < 1 or np.linalg.matrix_rank(centred) < design.shape[1]:
        raise ValueError("too few models for this design")
    square = np.linalg.inv(centred.T @ centred)
    solve = square @ centred.T
    ease = grid.ease(values)
    coefficients = ease @ solve.T
    rest = ease - coefficients @ centred.T
    noise = (rest**2).sum(axis=-1) / df
    parts = part.sum(axis=0)
    return Fit(
        coefficients=coefficients,
        models=noise[..., None, None] * square,
        ladders=_jackknife(rest, centred, ladder),
        techniques=_sandwich(grid.deviations(values), solve @ grid.operator, grid.technique),
        df=(df, grid.techniques - 1),
        information=np.stack(
            [solve[:, ladder == one] @ solve[:, ladder == one].T for one in range(int(ladder.max()) + 1)]
        ),
        intercepts=(ease @ part) / parts - coefficients @ (part.T @ design / parts[:, None]).T,
    )


def _sandwich(rest: Floats, weights: Floats, cluster: Ints) -> Floats:
    """Return the covariance of ``weights @ values`` from what is left of them, summed within clusters."""
    n = int(cluster.max()) + 1
    if n < 2:
        return np.zeros((*rest.shape[:-1], len(weights), len(weights)))
    sums = np.stack([_sums(rest * row, cluster) for row in weights], axis=-1)
    covariance: Floats = n / (n - 1) * np.swapaxes(sums, -1, -2) @ sums
    return covariance


def _sums(values: Floats, cluster: Ints) -> Floats:
    """Return sums within clusters, ``(..., n_clusters)``, of values ``(..., n)``."""
    shape = (len(cluster), int(cluster.max()) + 1)
    member = csr_array((np.ones(len(cluster)), (np.arange(len(cluster)), cluster)), shape=shape)
    found: Floats = np.asarray(values @ member)
    return found


def _jackknife(rest: Floats, design: Floats, cluster: Ints) -> Floats:
    """Return the covariance of coefficients from their changes without one cluster at a time.

    This is the jackknife, CR3 of Bell and McCaffrey (2002, Bias reduction in standard errors).
    """
    n, k = int(cluster.max()) + 1, design.shape[1]
    if n < 2:
        return np.zeros((*rest.shape[:-1], k, k))
    changes = []
    for index in range(n):
        inside = cluster == index
        others = design[~inside]
        changes.append(rest[..., inside] @ design[inside] @ np.linalg.pinv(others.T @ others, hermitian=True))
    moved = np.stack(changes, axis=-1)
    covariance: Floats = (n - 1) / n * moved @ np.swapaxes(moved, -1, -2)
    return covariance
