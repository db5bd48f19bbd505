"""A line and its prediction interval against statsmodels, by hand, and against a truth that is known."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import t as student

from interp_bench.analysis.prediction import Prediction, predicted

SIZES = (1e4, 1e5, 1e6, 1e7)


def test_points_on_a_line_give_the_line_without_any_width():
    found = predicted(SIZES, (0.8, 0.6, 0.4, 0.2), 10**5.5).interval
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert found.n == 4
    assert predicted(SIZES, (0.8, 0.6, 0.4, 0.2), 1e8).centre == pytest.approx(0.0)


def test_interval_is_that_of_statsmodels():
    values = (0.9, 0.6, 0.55, 0.1)
    line = sm.OLS(values, sm.add_constant(np.log10(SIZES))).fit()
    low, high = line.get_prediction([[1.0, 9.0]]).conf_int(obs=True)[0]
    found = predicted(SIZES, values, 1e9).interval
    assert (found.low, found.high) == pytest.approx((low, high))


def test_models_of_one_size_have_no_slope():
    found = predicted((1e6, 1e6, 1e6), (0.5, 0.6, 0.7), 1e9).interval
    half = student.isf(0.025, 2) * 0.1 * np.sqrt(4 / 3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))


def test_two_models_give_their_mean_and_no_bounds():
    found = predicted((1e4, 1e6), (0.2, 0.8), 1e9)
    assert found.interval.mean == pytest.approx(0.5)
    assert not found.interval.bounded
    assert (found.skill.mean, found.skill.low, found.skill.high) == (pytest.approx(0.5), 0.0, 1.0)


def test_interval_holds_a_new_model_as_often_as_it_says():
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(500):
        values = 0.9 - 0.1 * np.log10(SIZES) + 0.05 * generator.standard_normal(4)
        new = 0.9 - 0.8 + 0.05 * generator.standard_normal()
        found = predicted(SIZES, values, 1e8).interval
        inside.append(found.low <= new <= found.high)
    assert 0.93 <= np.mean(inside) <= 0.97


def test_expected_skill_is_the_mean_of_what_is_drawn_and_cut():
    found = Prediction(centre=0.9, error=0.3, free=3, n=5)
    drawn = 0.9 + 0.3 * np.random.default_rng(0).standard_t(3, 200_000)
    assert found.skill.mean == pytest.approx(np.clip(drawn, 0, 1).mean(), abs=0.002)
    assert (found.skill.low, found.skill.high) == (0.0, 1.0)
    narrow = Prediction(centre=0.6, error=0.01, free=10, n=12).skill
    assert narrow.mean == pytest.approx(0.6, abs=1e-3)
    assert narrow.low == pytest.approx(0.6 - 0.01 * student.isf(0.025, 10))


def test_what_is_hardly_known_does_not_look_best():
    wide = Prediction(centre=1.5, error=5.0, free=1, n=3).skill
    sure = Prediction(centre=0.7, error=0.05, free=8, n=10).skill
    assert wide.mean < sure.mean
    assert Prediction(centre=1.5, error=0.0, free=1, n=3).skill.mean == 1.0
    assert Prediction(centre=-0.5, error=0.01, free=5, n=7).skill.mean == pytest.approx(0.0, abs=1e-3)
