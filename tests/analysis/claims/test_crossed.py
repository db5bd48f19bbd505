"""The slope over crossed techniques and models, against values worked by hand and by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress
from scipy.stats import t as student

from interp_bench.analysis.claims.crossed import Bounds, bounds_of, degrees, grid_of, regress, smaller
from tests.crossed_boards import draw, layout


def whole(techniques, models):
    """Return the grid of techniques that all have one series on all models."""
    technique = np.repeat(np.arange(techniques), models)
    return grid_of(technique, technique, np.tile(np.arange(models), techniques))


def test_ease_is_the_mean_over_techniques_without_the_mean_over_models():
    grid = whole(2, 3)
    values = np.array([0.1, 0.3, 0.5, 0.2, 0.2, 0.8])
    assert grid.ease(values) == pytest.approx([0.15 - 0.35, 0.25 - 0.35, 0.65 - 0.35])


def test_a_missing_cell_makes_no_model_easier():
    # technique 1 is worse by 0.4 everywhere; that it has no cell on model 2 is no ease of model 2
    grid = grid_of(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1]))
    ease = grid.ease(np.array([0.9, 0.8, 0.7, 0.5, 0.4]))
    assert ease == pytest.approx([0.1, 0.0, -0.1])


def test_techniques_count_alike_however_many_tasks_they_have():
    # one technique falls by 1 on two tasks, one rises by 1 on one: no slope
    technique, series = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    grid = grid_of(technique, series, np.array([0, 1, 0, 1, 0, 1]))
    assert grid.ease(np.array([1.0, 0, 1, 0, 0, 1])) == pytest.approx([0.0, 0.0])


def test_models_that_share_no_series_are_compared_within_their_parts_only():
    grid = grid_of(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]))
    assert grid.parts.tolist() == [0, 0, 1, 1]
    assert grid.ease(np.array([0.0, 1.0, 5.0, 5.0])) == pytest.approx([-0.5, 0.5, 0.0, 0.0])
    assert degrees(grid) == 4 - 2 - 1


def test_where_all_techniques_agree_the_slope_is_that_of_least_squares():
    x, ease = np.array([1.0, 2.0, 4.0, 5.0, 7.0]), np.array([0.1, 0.4, 0.2, 0.6, 0.5])
    values = np.concatenate([ease, ease + 0.2, ease - 0.3])
    fit = regress(whole(3, 5), values, x[:, None], np.zeros(5, dtype=int))
    known = linregress(x, ease)
    assert fit.coefficients == pytest.approx([known.slope])
    assert np.sqrt(fit.models[0, 0]) == pytest.approx(known.stderr)
    bounds = fit.bounds(1.0)
    half = student.isf(0.025, 3) * known.stderr
    assert (bounds.low, bounds.high) == pytest.approx((known.slope - half, known.slope + half))


def test_where_models_differ_in_nothing_but_size_techniques_are_the_sample():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    slopes = np.array([0.1, 0.3, 0.35, 0.65])
    values = (slopes[:, None] * x).ravel()
    bounds = regress(whole(4, 4), values, x[:, None], np.zeros(4, dtype=int)).bounds(1.0)
    half = student.isf(0.025, 3) * slopes.std(ddof=1) / 2
    assert bounds.effect == pytest.approx(0.35)
    assert (bounds.low, bounds.high) == pytest.approx((0.35 - half, 0.35 + half))


def test_ladders_that_disagree_widen_the_interval():
    # slopes -0.1, 0.1 and 0.3 over the same sizes: without one, the others' mean is 0.2, 0.1 or 0
    x = np.tile([0.0, 1.0, 2.0], 3)
    ladder = np.repeat([0, 1, 2], 3)
    values = np.tile(np.array([-0.1, 0.1, 0.3])[ladder] * x, 2)
    technique = np.repeat([0, 1], 9)
    series = technique * 3 + np.tile(ladder, 2)
    fit = regress(grid_of(technique, series, np.tile(np.arange(9), 2)), values, x[:, None], ladder)
    assert fit.coefficients == pytest.approx([0.1])
    assert fit.ladders[0, 0] == pytest.approx(2 / 3 * (0.1**2 + 0.1**2))
    bounds = fit.bounds(1.0)
    assert bounds.high - bounds.effect == pytest.approx(student.isf(0.025, 2) * np.sqrt(fit.ladders[0, 0]))


def test_many_boards_at_once_are_fitted_as_one_by_one():
    generator = np.random.default_rng(1)
    board = layout([[4, 5, 6, 7], [6, 7, 8]], generator, techniques=5)
    values = draw(board, 3, generator)
    together = regress(board.grid, values, board.design, board.ladder).bounds(1.0)
    for index, row in enumerate(values):
        alone = regress(board.grid, row, board.design, board.ladder).bounds(1.0)
        assert (alone.low, alone.high) == pytest.approx((together.low[index], together.high[index]))


def test_partial_r2_of_one_column_is_r2():
    x, ease = np.array([1.0, 2.0, 4.0, 5.0]), np.array([0.1, 0.4, 0.2, 0.6])
    fit = regress(whole(2, 4), np.concatenate([ease, ease]), x[:, None], np.zeros(4, dtype=int))
    assert fit.partial_r2(0) == pytest.approx(linregress(x, ease).rvalue ** 2)


def test_a_design_that_the_models_cannot_tell_apart_is_refused():
    grid, ladder = whole(2, 4), np.zeros(4, dtype=int)
    x = np.arange(4.0)
    with pytest.raises(ValueError, match="too few models"):
        regress(grid, np.zeros(8), np.column_stack([x, 2 * x]), ladder)
    with pytest.raises(ValueError, match="too few models"):
        regress(grid, np.zeros(8), np.column_stack([x, x**2, x**3]), ladder)


def test_half_widths_add_up_in_squares():
    bounds = bounds_of(np.array(1.0), [(np.array(0.04), 2), (np.array(0.01), 10)])
    half = np.sqrt(0.04 * student.isf(0.025, 2) ** 2 + 0.01 * student.isf(0.025, 10) ** 2)
    assert (bounds.low, bounds.high) == pytest.approx((1 - half, 1 + half))


def test_the_smaller_effect_is_above_0_only_if_both_are():
    sure = Bounds(effect=np.array(0.5), low=np.array(0.4), high=np.array(0.6))
    unsure = Bounds(effect=np.array(0.7), low=np.array(-0.1), high=np.array(1.5))
    both = smaller(sure, unsure)
    assert (both.effect, both.low, both.high) == (0.5, -0.1, 0.6)
    turned = -sure
    assert (turned.effect, turned.low, turned.high) == (-0.5, -0.6, -0.4)
