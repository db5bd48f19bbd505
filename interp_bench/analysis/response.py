"""A response model on a table of skills: one ability a row, one difficulty a column, fitted as a whole.

The expected skill of technique i at place j is ``logistic(ability_i - difficulty_j)``: the curve of Rasch
(1960, Probabilistic Models for Some Intelligence and Attainment Tests), which is also the mean of the
continuous response model of Noel & Dauvier (2007, A Beta Item Response Model for Continuous Bounded
Responses, Applied Psychological Measurement 31). It is fitted by the Bernoulli quasi-likelihood (Papke &
Wooldridge 1996, Econometric Methods for Fractional Response Variables), which asks nothing of the noise
but that its mean is 0: skills below the floor need no clipping, and the sum to minimise stays convex.

With ``eta = ability_i - difficulty_j``, the sum over cells of ``log(1 + exp(eta)) - skill * eta`` is
minimised, plus ``RIDGE / 2`` times the sum of squared abilities and of squared differences of the
difficulties from their mean; the ridge keeps a place or a technique finite whose every skill is 0 or 1.

Adding the same to every ability and difficulty changes no expectation, so that one number is a choice:
the mean ability is 0, each technique weighted by its information (the sum of ``p (1 - p)`` over its
cells). Without the weights, a technique without any skill, whose ability is minus anything, would move
everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, stdtrit

from interp_bench.analysis.stats import LEVEL

Array = npt.NDArray[np.float64]

RIDGE = 0.01
"""Weight of the penalty, that of a normal prior of 10 logits: it moves nothing that the data can tell."""

_STEPS = 100
_SMALL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Abilities and difficulties in logits, with half widths of their intervals.

    Attributes:
        abilities: ``[rows]``; their mean with ``weights`` is 0.
        difficulties: ``[columns]``.
        weights: ``[rows]`` shares of the information, sum 1.
        expected: ``[rows, columns]`` expected skill, also where there is no cell.
        residuals: ``[rows, columns]`` skill minus expected; 0 where there is no cell.
        inverse: ``[rows + columns, rows + columns]`` inverse of the curvature of the penalised sum.
        leverage: ``[rows, columns]`` how far a cell draws its own expectation to it, 0 to 1.
        held: ``[rows, columns]`` whether there is a cell.
    """

    abilities: Array
    difficulties: Array
    weights: Array
    expected: Array
    residuals: Array
    inverse: Array
    leverage: Array
    held: npt.NDArray[np.bool_]

    @property
    def abilities_of_parameters(self) -> Array:
        """``[rows, rows + columns]``: each ability as a weighted sum of the parameters."""
        rows, columns = self.held.shape
        return np.eye(rows, rows + columns) - self._origin

    @property
    def difficulties_of_parameters(self) -> Array:
        """``[columns, rows + columns]``: each difficulty as a weighted sum of the parameters."""
        rows, columns = self.held.shape
        return np.eye(columns, rows + columns, k=rows) - self._origin

    @property
    def means_of_parameters(self) -> Array:
        """``[columns, rows + columns]``: slope of the mean expected skill over all rows at each column."""
        slope = self.expected * (1.0 - self.expected) / len(self.expected)
        return np.hstack([slope.T, -np.diag(slope.sum(axis=0))])

    @property
    def _origin(self) -> Array:
        return np.concatenate([self.weights, np.zeros(len(self.difficulties))])

    def half_widths(self, sums: Array, row_clusters: Array, column_clusters: Array, df: Array) -> Array:
        """Return half the width of the interval of weighted sums of the parameters.

        The variance is the cluster-robust one, ``H^-1 (sum of g g') H^-1``, with the score g summed within
        clusters, residuals divided by ``sqrt(1 - leverage)`` (HC2: MacKinnon & White 1985) and the factor
        G / (G - 1) for G clusters; the quantile is Student's.

        Args:
            sums: ``[sums, rows + columns]`` weights of abilities, then of difficulties.
            row_clusters: ``[clusters, rows]`` 1 where a row belongs to a cluster; all 1 where rows do not
                tell clusters apart.
            column_clusters: ``[clusters, columns]`` likewise; a cell is in a cluster where both are.
            df: ``[sums]`` degrees of freedom; below 1 the width is infinite.
        """
        spread = self.residuals / np.sqrt(np.maximum(1.0 - self.leverage, _SMALL))
        scores = np.hstack(
            [row_clusters * (column_clusters @ spread.T), -column_clusters * (row_clusters @ spread)]
        )
        clusters = len(row_clusters)
        if clusters < 2:
            return np.full(len(sums), np.inf)
        projected = (sums @ self.inverse) @ scores.T
        deviation = np.sqrt((projected**2).sum(axis=1) * clusters / (clusters - 1))
        quantiles = -stdtrit(np.maximum(df, 1.0), (1.0 - LEVEL) / 2)
        return np.where(df >= 1, quantiles * deviation, np.inf)


def fit(skills: Array) -> Fit:
    """Fit abilities and difficulties by Newton's rule.

    Args:
        skills: ``[rows, columns]`` of skills, NaN where there is no cell; each row and each column has
            one, and all hang together by shared rows and columns.

    Raises:
        ValueError: a row or a column has no cell.
    """
    held = ~np.isnan(skills)
    if skills.size == 0 or not held.any(axis=0).all() or not held.any(axis=1).all():
        raise ValueError("every technique and every place needs a cell")
    known = np.where(held, skills, 0.0)
    rows = len(skills)
    values = np.zeros(sum(skills.shape))
    current = _loss(values, known, held)
    for _ in range(_STEPS):
        gradient, curvature = _derivatives(values, known, held)
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        while (following := _loss(values - scale * step, known, held)) > current and scale > _SMALL:
            scale /= 2
        values, current = values - scale * step, following
        if np.abs(step).max() < _SMALL:
            break
    return _described(values[:rows], values[rows:], known, held)


def _described(abilities: Array, difficulties: Array, known: Array, held: npt.NDArray[np.bool_]) -> Fit:
    values = np.concatenate([abilities, difficulties])
    inverse: Array = np.asarray(np.linalg.inv(_derivatives(values, known, held)[1]), dtype=np.float64)
    expected = expit(abilities[:, None] - difficulties[None, :])
    rows = len(abilities)
    own = np.diag(inverse)
    spread = own[:rows, None] + own[None, rows:] - 2 * inverse[:rows, rows:]
    information = np.where(held, expected * (1.0 - expected), 0.0).sum(axis=1)
    weights = information / information.sum()
    origin = float(weights @ abilities)
    return Fit(
        abilities=abilities - origin,
        difficulties=difficulties - origin,
        weights=weights,
        expected=expected,
        residuals=np.where(held, known - expected, 0.0),
        inverse=inverse,
        leverage=np.where(held, np.clip(expected * (1 - expected) * spread, 0.0, 1.0), 0.0),
        held=held,
    )


def _loss(values: Array, known: Array, held: npt.NDArray[np.bool_]) -> float:
    rows = len(known)
    abilities, difficulties = values[:rows], values[rows:]
    eta = abilities[:, None] - difficulties[None, :]
    data = np.where(held, np.logaddexp(0.0, eta) - known * eta, 0.0).sum()
    apart = difficulties - difficulties.mean()
    return float(data + RIDGE / 2 * (abilities @ abilities + apart @ apart))


def _derivatives(values: Array, known: Array, held: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the gradient and the curvature of the penalised sum."""
    rows, columns = known.shape
    abilities, difficulties = values[:rows], values[rows:]
    expected = expit(abilities[:, None] - difficulties[None, :])
    slope = np.where(held, expected - known, 0.0)
    weight = np.where(held, expected * (1 - expected), 0.0)
    apart = difficulties - difficulties.mean()
    gradient = np.concatenate(
        [slope.sum(axis=1) + RIDGE * abilities, -slope.sum(axis=0) + RIDGE * apart],
    )
    centring = np.eye(columns) - 1.0 / columns
    curvature = np.block(
        [
            [np.diag(weight.sum(axis=1) + RIDGE), -weight],
            [-weight.T, np.diag(weight.sum(axis=0)) + RIDGE * centring],
        ]
    )
    return gradient, curvature
