"""Means over tasks with gaps, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from interp_bench.analysis.balance import indicators, over_tasks


def means(values):
    """Return the means of models from ``{(model, task): value}``."""
    models, tasks = zip(*values, strict=True)
    weights = over_tasks(indicators(models), indicators(tasks))
    return dict(zip(sorted(set(models)), weights @ np.array(list(values.values())), strict=True))


def test_indicators_are_in_sorted_order():
    assert indicators(["b", "a", "b"]).tolist() == [[0, 1, 0], [1, 0, 1]]


def test_without_gaps_it_is_the_mean():
    found = means({("m", "x"): 0.2, ("m", "y"): 0.4, ("n", "x"): 0.9, ("n", "y"): 0.5})
    assert found == {"m": pytest.approx(0.3), "n": pytest.approx(0.7)}


def test_a_missing_task_is_filled_in_from_how_it_is_elsewhere():
    # On m, y is 0.4 below x; so on n it would be 0.5, and its mean 0.7.
    found = means({("m", "x"): 0.8, ("m", "y"): 0.4, ("n", "x"): 0.9})
    assert found == {"m": pytest.approx(0.6), "n": pytest.approx(0.7)}


def test_what_shares_no_task_is_averaged_over_its_own():
    found = means({("m", "x"): 0.8, ("m", "y"): 0.4, ("n", "z"): 0.9})
    assert found == {"m": pytest.approx(0.6), "n": pytest.approx(0.9)}
