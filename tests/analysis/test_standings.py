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
    assert (brittle.ranked.mean, brittle.ranked.n) == (pytest.approx(0.45), 2)
    assert (brittle.skill.mean, brittle.skill.n) == (pytest.approx(0.9), 1)
    assert (brittle.failures, brittle.models, brittle.cells, brittle.answered, brittle.places) == (
        1,
        2,
        2,
        1,
        2,
    )


@pytest.mark.parametrize("status", ["failed", "timed_out", "out_of_memory", "crashed"])
def test_failing_everywhere_is_ranked_at_the_floor_without_a_skill(make_trial, status):
    trials = [
        make_trial(technique="broken", status=status, reason="x"),
        make_trial(technique="weak", skill=0.1),
    ]
    weak, broken = standings_of(cells_of(trials))["features"]
    assert (weak.technique, broken.skill, broken.ranked.mean) == ("weak", None, 0.0)
    assert (broken.cells, broken.answered, broken.places) == (1, 0, 1)


@pytest.mark.parametrize("status", ["skipped", "invalid"])
def test_what_was_skipped_or_not_certified_counts_nowhere(make_trial, status):
    trials = [make_trial(model="a", skill=0.5), make_trial(model="b", status=status, reason="x")]
    (row,) = standings_of(cells_of(trials))["features"]
    assert row.skill == row.ranked
    assert (row.ranked.mean, row.ranked.n) == (0.5, 1)
    assert (row.models, row.cells, row.answered, row.places, row.failures) == (1, 1, 1, 2, 0)


def test_a_failing_seed_costs_rank_in_its_cell_and_leaves_the_skill(make_trial):
    trials = [make_trial(seed=0, skill=0.8), make_trial(seed=1, status="timed_out", reason="x")]
    (row,) = standings_of(cells_of(trials))["features"]
    assert (row.skill.mean, row.ranked.mean) == (pytest.approx(0.8), pytest.approx(0.4))
    assert (row.cells, row.answered, row.places) == (1, 1, 1)


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
    assert row.ranked is None
    assert (row.models, row.cells, row.failures, row.answered, row.places) == (0, 0, 0, 0, 1)


def test_places_are_those_of_any_technique_of_the_track(make_trial):
    trials = [make_trial(technique="everywhere", model=model, skill=0.5) for model in ("a", "b", "c")]
    trials += [make_trial(technique="choosy", model="a", skill=0.75), make_trial(track="concepts", model="d")]
    rows = standings_of(cells_of(trials))
    assert [(row.technique, row.cells, row.places) for row in rows["features"]] == [
        ("choosy", 1, 3),
        ("everywhere", 3, 3),
    ]
    assert rows["concepts"][0].places == 1
