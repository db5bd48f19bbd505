"""Paired differences against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from interp_bench.analysis.paired import holm, paired


def test_interval_and_p_of_three_pairs() -> None:
    # Mean 0.2, standard deviation 0.1, standard error 0.1 / sqrt 3 = 0.057735, t(2, 97.5%) = 4.302653.
    found = paired([0.1, 0.2, 0.3])
    half = 4.302653 * 0.0577350
    assert found.difference.mean == pytest.approx(0.2)
    assert found.difference.low == pytest.approx(0.2 - half, abs=1e-6)
    assert found.difference.high == pytest.approx(0.2 + half, abs=1e-6)
    # With 2 degrees of freedom the tail is 1/2 - t / (2 sqrt(2 + t^2)); t = 0.2 / 0.057735, t^2 = 12.
    assert found.p == pytest.approx(1 - (12 / 14) ** 0.5)
    assert found.p == pytest.approx(0.0742, abs=1e-4)
    assert found.tendency(found.p) == "undecided"


def test_p_falls_below_the_level_just_where_the_interval_leaves_zero() -> None:
    # t^2 = 2 c^2 / (1 - c^2) for p = 1 - c: at c = 0.95, t = 4.302653.
    for spread, decided in ((0.0804, True), (0.0806, False)):
        found = paired([0.2 - spread, 0.2, 0.2 + spread])
        assert found.p is not None
        assert (found.p < 0.05) is (found.difference.low > 0) is decided
        assert (found.tendency(found.p) == "better") is decided
        mirrored = paired([-0.2 - spread, -0.2, -0.2 + spread])
        assert (mirrored.tendency(mirrored.p) == "worse") is decided


def test_one_pair_has_no_interval_and_no_test() -> None:
    found = paired([0.4])
    assert (found.difference.bounded, found.difference.n, found.p) == (False, 1, None)
    assert found.tendency(found.p) == "undecided"


@pytest.mark.parametrize("differences", [[0.0], [0.0, 0.0, 0.0], [1e-12, -1e-12]])
def test_equal_results_are_the_same_without_a_test(differences: list[float]) -> None:
    found = paired(differences)
    assert (found.equal, found.p, found.tendency(None)) == (True, None, "same")


def test_the_same_change_in_every_pair_leaves_no_doubt() -> None:
    found = paired([0.25, 0.25])
    assert (found.p, found.difference.low, found.difference.high) == (0.0, 0.25, 0.25)
    assert found.tendency(found.p) == "better"
    assert paired([-0.25, -0.25]).tendency(0.0) == "worse"


def test_a_corrected_p_decides_where_one_is_given() -> None:
    found = paired([0.2, 0.21, 0.22])
    assert found.p is not None
    assert (found.tendency(found.p), found.tendency(0.06)) == ("better", "undecided")


def test_no_pairs_and_infinite_ones_are_refused() -> None:
    for differences in ([], [float("nan")], [0.0, float("inf")]):
        with pytest.raises(ValueError):
            paired(differences)


def test_holm_multiplies_by_how_many_are_left() -> None:
    # Sorted 0.01, 0.03, 0.04: 3 x 0.01 = 0.03; 2 x 0.03 = 0.06; 1 x 0.04 = 0.04, raised to 0.06.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.6, 0.5]) == pytest.approx((1.0, 1.0))
    assert holm([0.02]) == pytest.approx((0.02,))
    assert holm([0.0, 0.5]) == pytest.approx((0.0, 0.5))
    assert holm([]) == ()


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    generator = np.random.default_rng(0)
    for size in (1, 2, 7, 40):
        for p_values in (generator.random(size) ** 4, np.repeat(generator.random(size), 2) / 10):
            assert holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-15)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_holm_takes_probabilities_only(p: float) -> None:
    with pytest.raises(ValueError):
        holm([0.5, p])
