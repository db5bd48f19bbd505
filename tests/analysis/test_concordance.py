"""Kendall's tau and its interval against scipy, by hand, and against a truth that is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, kendalltau

from interp_bench.analysis.concordance import FEWEST, concordance


def test_tau_of_four_by_hand():
    # Six pairs, of which only (2, 3) turns around: (5 - 1) / 6.
    found = concordance([0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4])
    assert found is not None
    assert found.mean == pytest.approx(4 / 6)
    assert (found.low, found.high, found.n) == (-1.0, 1.0, 4)


def test_ties_are_those_of_tau_b():
    # Three untied pairs in one, three in the other, two in both, all agreeing: 2 / sqrt(3 * 2)... by scipy.
    first, second = [0.0, 0.0, 0.5, 0.7], [0.1, 0.2, 0.2, 0.9]
    found = concordance(first, second)
    assert found is not None
    # Pairs: first ties 1 of 6, second ties 1 of 6; the other 4 agree: 4 / sqrt(5 * 5).
    assert found.mean == pytest.approx(4 / 5)


def test_interval_is_what_scipy_gives_with_its_own_tau():
    generator = np.random.default_rng(0)
    first = generator.standard_normal(12)
    second = first + generator.standard_normal(12)
    slow = bootstrap(
        (first, second),
        lambda one, other: kendalltau(one, other).statistic,
        paired=True,
        vectorized=False,
        n_resamples=999,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = concordance(list(first), list(second))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((slow.low, slow.high), abs=1e-9)


def test_interval_covers_a_known_tau():
    # For a normal pair of correlation r, tau is 2 / pi * arcsin r: 1/3 for r = 1/2.
    generator = np.random.default_rng(1)
    covered = []
    for _ in range(100):
        first = generator.standard_normal(30)
        second = 0.5 * first + np.sqrt(0.75) * generator.standard_normal(30)
        found = concordance(list(first), list(second))
        assert found is not None
        covered.append(found.low <= 1 / 3 <= found.high)
    assert np.mean(covered) >= 0.88


def test_full_agreement_says_nothing_of_its_spread():
    found = concordance(list(range(FEWEST)), list(range(FEWEST)))
    assert found is not None
    assert (found.mean, found.low, found.high) == (1.0, -1.0, 1.0)


def test_constant_lists_have_no_ranking_and_unequal_ones_are_refused():
    assert concordance([0.0, 0.0], [0.1, 0.2]) is None
    assert concordance([], []) is None
    with pytest.raises(ValueError, match="cannot be paired"):
        concordance([1.0], [1.0, 2.0])
