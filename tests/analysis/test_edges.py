"""Edges with their bounds, on ladders whose answer is plain to see."""

from __future__ import annotations

import pytest

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.edges import edges_of
from interp_bench.analysis.reach import reaches_of

SIZES = {"xs": 10_000, "s": 100_000, "m": 1_000_000, "l": 10_000_000}


@pytest.fixture
def climb(make_trial):
    """Return the edges over a ladder from the skills of each model's seeds."""

    def climb(**skills):
        trials = [
            make_trial(model=model, params=SIZES[model], seed=seed, skill=skill)
            for model, values in skills.items()
            for seed, skill in enumerate(values)
        ]
        return edges_of(reaches_of(cells_of(trials)))

    return climb


def test_edge_is_where_the_line_between_rungs_falls_through_half(climb):
    (edge,) = climb(xs=[0.90, 0.91, 0.92], s=[0.69, 0.70, 0.71], m=[0.29, 0.30, 0.31], l=[0.1, 0.1, 0.1])
    assert edge.sight == "seen"
    # Half way from 0.7 to 0.3, so half way from 10^5 to 10^6 on the logarithm.
    assert edge.crossing == pytest.approx(10**5.5)
    assert (edge.low, edge.high) == (100_000, 1_000_000)


def test_rungs_in_doubt_widen_the_bounds(climb):
    # s: 0.6 ± 0.25 and m: 0.4 ± 0.25 are in doubt, xs and l are not.
    (edge,) = climb(xs=[0.90, 0.91, 0.92], s=[0.5, 0.6, 0.7], m=[0.3, 0.4, 0.5], l=[0.1, 0.11, 0.12])
    assert edge.crossing == pytest.approx(10**5.5)
    assert (edge.low, edge.high) == (10_000, 10_000_000)


def test_one_seed_leaves_bounds_open(climb):
    (edge,) = climb(s=[0.9], m=[0.1])
    assert edge.crossing == pytest.approx(10**5.5)
    assert (edge.low, edge.high) == (None, None)


def test_edges_beyond_and_below_the_ladder_are_not_seen(climb):
    (beyond,) = climb(s=[0.9, 0.9], m=[0.8, 0.8])
    assert (beyond.sight, beyond.crossing, beyond.low, beyond.high) == ("beyond", None, 1_000_000, None)
    (below,) = climb(s=[0.2, 0.2], m=[0.1, 0.1])
    assert (below.sight, below.crossing, below.low, below.high) == ("below", None, None, 100_000)


def test_the_last_of_several_crossings_counts(climb):
    (edge,) = climb(xs=[0.1, 0.1], s=[0.9, 0.9], m=[0.1, 0.1], l=[0.1, 0.1])
    assert edge.crossing == pytest.approx(10**5.5)
    assert (edge.low, edge.high) == (100_000, 1_000_000)


def test_mean_of_just_half_still_works_and_one_size_has_no_edge(climb):
    (edge,) = climb(s=[0.5, 0.5], m=[0.3, 0.3])
    assert edge.crossing == pytest.approx(100_000)
    assert climb(s=[0.9, 0.9]) == ()
