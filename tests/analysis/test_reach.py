"""Reach and edge on ladders whose answer is plain to see."""

from __future__ import annotations

import pytest

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.reach import reaches_of

SIZES = {"xs": 10_000, "s": 100_000, "m": 1_000_000, "l": 10_000_000}


@pytest.fixture
def climb(make_trial):
    """Return the reach over a ladder from the skills of each model's seeds."""

    def climb(**skills):
        trials = [
            make_trial(model=model, params=SIZES[model], seed=seed, skill=skill)
            for model, values in skills.items()
            for seed, skill in enumerate(values)
        ]
        (reach,) = reaches_of(cells_of(trials))
        return reach

    return climb


def test_reach_ends_where_the_lower_bound_falls_below_half(climb):
    reach = climb(xs=[0.90, 0.91, 0.92], s=[0.80, 0.81, 0.82], m=[0.2, 0.5, 0.8], l=[0.1, 0.1, 0.1])
    assert [rung.works for rung in reach.rungs] == [True, True, False, False]
    assert (reach.smallest.model, reach.largest.model) == ("xs", "s")
    assert reach.contiguous
    assert reach.edge == (100_000, 1_000_000)


def test_mean_above_half_with_a_wide_interval_does_not_work(climb):
    # mean 0.8, but the half interval is 4.3027 * 0.1 / sqrt(3) = 0.248; 0.552 works, 0.7 - 0.248 does not
    assert climb(s=[0.7, 0.8, 0.9]).largest.model == "s"
    assert climb(s=[0.6, 0.7, 0.8]).largest is None


def test_lower_bound_of_exactly_half_works(climb):
    assert climb(s=[0.5, 0.5]).largest.model == "s"


def test_gap_is_not_contiguous(climb):
    reach = climb(xs=[0.9, 0.9], s=[0.1, 0.1], m=[0.9, 0.9])
    assert (reach.smallest.model, reach.largest.model) == ("xs", "m")
    assert not reach.contiguous


def test_no_edge_is_seen_when_the_largest_still_works_or_none_does(climb):
    assert climb(s=[0.9, 0.9], m=[0.9, 0.9]).edge is None
    nowhere = climb(s=[0.1, 0.1], m=[0.1, 0.1])
    assert nowhere.edge is None
    assert nowhere.smallest is None
    assert nowhere.contiguous


def test_one_seed_decides_nothing(climb):
    reach = climb(s=[1.0], m=[1.0])
    assert reach.largest is None
    assert not reach.decidable


def test_failing_seed_pulls_a_rung_down(make_trial):
    trials = [make_trial(seed=seed, skill=1.0) for seed in range(2)]
    assert reaches_of(cells_of(trials))[0].largest is not None
    trials.append(make_trial(seed=2, status="crashed"))
    assert reaches_of(cells_of(trials))[0].largest is None


def test_tasks_of_a_seed_are_averaged_first(make_trial):
    trials = [
        make_trial(task=task, seed=seed, skill=skill)
        for task, skills in {"one": (0.9, 0.7), "two": (0.5, 0.7)}.items()
        for seed, skill in enumerate(skills)
    ]
    (reach,) = reaches_of(cells_of(trials))
    (rung,) = reach.rungs
    assert rung.skill.n == 2
    assert rung.skill.low == pytest.approx(0.7)


def test_models_without_a_score_or_a_ladder_are_absent(make_trial):
    trials = [
        make_trial(model="s", status="invalid"),
        make_trial(model="alone", ladder=""),
        make_trial(model="m", ladder="vit", skill=0.9),
    ]
    (reach,) = reaches_of(cells_of(trials))
    assert (reach.ladder, [rung.model for rung in reach.rungs]) == ("vit", ["m"])
