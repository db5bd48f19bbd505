"""Intervals against values worked by hand from the t table."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import t as student

from interp_bench.analysis.stats import Interval, deviation, student_quantile, student_tail, t_interval


def test_interval_of_three_values_matches_the_t_table():
    # mean 2, standard deviation 1, t(0.975, 2 df) = 4.302653
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.n == 3
    assert interval.half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert interval.low == pytest.approx(2.0 - 2.484138, abs=1e-6)


def test_family_of_five_uses_the_99_percent_quantile():
    # 0.05 / 5 = 0.01, so t(0.995, 2 df) = 9.924843
    interval = t_interval([1.0, 2.0, 3.0], comparisons=5)
    assert interval.half == pytest.approx(9.924843 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("free", [1, 2, 4, 11, 200])
def test_student_is_that_of_scipy_to_the_last_bit(free):
    assert [student_quantile(tail, free) for tail in (0.025, 1e-6)] == [
        student.isf(tail, free) for tail in (0.025, 1e-6)
    ]
    assert [student_tail(value, free) for value in (0.0, 2.5, 60.0)] == [
        student.sf(value, free) for value in (0.0, 2.5, 60.0)
    ]


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=8))
@example([0.1, 0.1, 0.1])
@example([1e-200, 2e-200])
@example([1e200, -1e200])
@example([1e9, 1e9 + 1e-6])
def test_deviation_is_that_of_fractions(values):
    exact = statistics.stdev(values)
    assert deviation(values) == pytest.approx(exact, rel=1e-6, abs=1e-15 * max(map(abs, values)))
    assert (deviation(values) == 0) == (exact == 0)


def test_one_value_has_no_bounds():
    interval = t_interval([0.9])
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.9, -math.inf, math.inf, 1)
    assert not interval.bounded
    assert interval.contains(0.0)


def test_equal_values_have_a_point_interval():
    interval = t_interval([1.0, 1.0, 1.0])
    assert (interval.low, interval.high) == (1.0, 1.0)
    assert interval.bounded


def test_containment_forgives_rounding_only():
    interval = Interval(mean=0.1, low=0.1, high=0.1, n=2)
    assert interval.contains(0.1 + 1e-12)
    assert not interval.contains(0.1001)


@pytest.mark.parametrize(
    ("values", "comparisons", "message"),
    [
        ([], 1, "at least one value"),
        ([0.1, math.nan], 1, "finite"),
        ([0.1, math.inf], 1, "finite"),
        ([0.1, 0.2], 0, "starts at 1"),
    ],
)
def test_impossible_intervals_are_refused(values, comparisons, message):
    with pytest.raises(ValueError, match=message):
        t_interval(values, comparisons=comparisons)


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=8),
    st.integers(1, 50),
    st.floats(-3, 3),
)
def test_interval_holds_its_mean_widens_with_the_family_and_shifts_with_the_data(values, family, shift):
    alone = t_interval(values)
    together = t_interval(values, comparisons=family)
    moved = t_interval([value + shift for value in values])
    assert alone.contains(alone.mean)
    assert together.half >= alone.half - 1e-12
    assert moved.mean == pytest.approx(alone.mean + shift, abs=1e-9)
    assert moved.half == pytest.approx(alone.half, abs=1e-6)
