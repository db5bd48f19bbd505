"""Grouping trials into cells: what is missing is never zero, what failed is."""

from __future__ import annotations

import random

import pytest

from interp_bench.analysis.cells import cells_of, newest, rank_value, statuses_of


def test_cell_has_the_mean_and_interval_of_its_seeds(make_trial):
    (cell,) = cells_of(make_trial(seed=seed, skill=skill) for seed, skill in enumerate((0.4, 0.5, 0.6)))
    assert (cell.technique, cell.track, cell.task, cell.model) == ("pca", "features", "dictionary", "tiny")
    assert cell.measured is not None
    assert cell.measured.mean == pytest.approx(0.5)
    assert cell.measured.half == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    assert cell.ranked == cell.measured
    assert [trial.seed for trial in cell.trials] == [0, 1, 2]


def test_failing_trials_rank_as_zero_but_are_not_measured(make_trial):
    (cell,) = cells_of(
        [make_trial(seed=0, skill=0.9), make_trial(seed=1, status="timed_out", reason="over 60 s")]
    )
    assert cell.measured is not None
    assert cell.ranked is not None
    assert (cell.measured.mean, cell.measured.n) == (0.9, 1)
    assert (cell.ranked.mean, cell.ranked.n) == (0.45, 2)
    assert dict(cell.statuses) == {"ok": 1, "timed_out": 1}


@pytest.mark.parametrize("status", ["skipped", "invalid"])
def test_missing_is_not_zero(make_trial, status):
    mixed, empty = cells_of(
        [
            make_trial(model="a", seed=0, skill=0.9),
            make_trial(model="a", seed=1, status=status),
            make_trial(model="b", seed=0, status=status),
        ]
    )
    assert mixed.ranked is not None
    assert (mixed.ranked.mean, mixed.ranked.n) == (0.9, 1)
    assert empty.ranked is None
    assert empty.measured is None


@pytest.mark.parametrize(
    ("status", "value"),
    [
        ("ok", 0.8),
        ("failed", 0.0),
        ("timed_out", 0.0),
        ("out_of_memory", 0.0),
        ("crashed", 0.0),
        ("skipped", None),
        ("invalid", None),
    ],
)
def test_every_status_has_a_rank_value(make_trial, status, value):
    assert rank_value(make_trial(status=status)) == value


def test_newest_trial_of_a_question_counts_whatever_the_order(make_trial):
    old = make_trial(skill=0.1, key="a", provenance={"started_at": "2026-01-01T00:00:00Z"})
    new = make_trial(skill=0.9, key="b", provenance={"started_at": "2026-01-02T00:00:00Z"})
    assert newest([old, new]) == newest([new, old]) == (new,)


def test_order_is_by_track_task_size_role_and_name(make_trial):
    trials = [
        make_trial(technique="random", role="floor"),
        make_trial(technique="truth", role="ceiling"),
        make_trial(technique="zca"),
        make_trial(technique="ica"),
        make_trial(technique="ica", model="larger", params=90_000),
        make_trial(technique="das", track="concepts", task="parity"),
    ]
    random.Random(3).shuffle(trials)
    assert [(cell.track, cell.model, cell.technique) for cell in cells_of(trials)] == [
        ("concepts", "tiny", "das"),
        ("features", "tiny", "truth"),
        ("features", "tiny", "ica"),
        ("features", "tiny", "zca"),
        ("features", "tiny", "random"),
        ("features", "larger", "ica"),
    ]


def test_statuses_come_in_one_order(make_trial):
    trials = [make_trial(status=status) for status in ("crashed", "skipped", "ok", "ok")]
    assert list(statuses_of(trials).items()) == [("ok", 2), ("skipped", 1), ("crashed", 1)]
