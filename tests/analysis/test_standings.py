"""A technique's row on a track, worked by hand."""

from __future__ import annotations

import pytest

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.standings import standings_of


def test_rows_run_from_ceiling_over_falling_skill_to_floor(make_trial):
    trials = [
        make_trial(technique="random", role="floor", skill=0.0),
        make_trial(technique="weak", skill=0.2),
        make_trial(technique="absent", status="skipped"),
        make_trial(technique="strong", skill=0.9),
        make_trial(technique="truth", role="ceiling", skill=1.0),
    ]
    rows = standings_of(cells_of(trials))["features"]
    assert [row.technique for row in rows] == ["truth", "strong", "weak", "absent", "random"]


def test_skill_is_clustered_by_model(make_trial):
    # model means 0.4 and 0.8 however many seeds and tasks each has; t(0.975, 1 df) = 12.7062
    trials = [make_trial(model="a", seed=seed, skill=0.4) for seed in range(5)]
    trials += [make_trial(model="b", task="one", skill=0.7), make_trial(model="b", task="two", skill=0.9)]
    (row,) = standings_of(cells_of(trials))["features"]
    assert row.skill.mean == pytest.approx(0.6)
    assert row.skill.n == row.models == 2
    assert row.cells == 3
    assert row.skill.half == pytest.approx(12.706205 * 0.2, rel=1e-6)


def test_failures_cost_rank(make_trial):
    trials = [make_trial(technique="steady", model=model, skill=0.5) for model in ("a", "b")]
    trials += [
        make_trial(technique="brittle", model="a", skill=0.9),
        make_trial(technique="brittle", model="b", status="out_of_memory"),
    ]
    steady, brittle = standings_of(cells_of(trials))["features"]
    assert (steady.technique, brittle.technique) == ("steady", "brittle")
    assert brittle.skill.mean == pytest.approx(0.45)
    assert brittle.failures == 1


def test_modalities_tracks_and_cost_are_kept_apart(make_trial):
    trials = [
        make_trial(model="a", skill=0.2, seconds=1.0, forwards=2),
        make_trial(model="b", skill=0.6, seconds=3.0, forwards=4, modality="image"),
        make_trial(model="c", status="failed", seconds=99.0, modality="image"),
        make_trial(track="concepts", task="parity"),
    ]
    rows = standings_of(cells_of(trials))
    assert list(rows) == ["concepts", "features"]
    (row,) = rows["features"]
    assert {name: skill.mean for name, skill in row.by_modality.items()} == pytest.approx(
        {"lm": 0.2, "image": 0.3}
    )
    assert (row.cost.seconds, row.cost.forwards, row.cost.backwards) == (2.0, 3.0, 0.0)


def test_technique_scored_nowhere_has_no_skill_and_no_cost(make_trial):
    (row,) = standings_of(cells_of([make_trial(status="skipped")]))["features"]
    assert row.skill is None
    assert row.cost is None
    assert (row.models, row.cells, row.failures) == (0, 0, 0)
