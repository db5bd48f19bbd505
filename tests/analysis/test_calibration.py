"""Ceiling rows must be 1 and floor rows 0, and a row that is off must show."""

from __future__ import annotations

import pytest

from interp_bench.analysis.calibration import calibrate
from interp_bench.analysis.cells import cells_of


def rows(make_trial, role, skills, **fields):
    name = {"ceiling": "truth", "floor": "random"}[role]
    return [
        make_trial(technique=name, role=role, seed=seed, skill=skill, **fields)
        for seed, skill in enumerate(skills)
    ]


def test_sound_run_is_calibrated(make_trial):
    found = calibrate(
        cells_of(
            rows(make_trial, "ceiling", [1.0, 1.0])
            + rows(make_trial, "floor", [0.1, -0.1, 0.0])
            + [make_trial(skill=0.3)]
        )
    )
    assert found.holds
    assert (len(found.ceilings), len(found.floors)) == (1, 1)


def test_ceiling_must_be_exactly_one_for_every_seed(make_trial):
    found = calibrate(
        cells_of(rows(make_trial, "ceiling", [1.0, 0.999999]) + rows(make_trial, "floor", [0.0, 0.0]))
    )
    assert found.ceilings[0].worst == 0.999999
    assert found.broken == (found.ceilings[0],)
    assert not found.holds


def test_floor_interval_is_family_wise_and_the_plain_one_is_kept(make_trial):
    # seeds 0.1, 0.2, 0.3: half 0.248 alone (0.2 - 0.248 < 0); shifted to 0.3 it misses 0 alone,
    # but with two floor cells t(1 - 0.05/4, 2 df) = 6.2053 makes the half 0.358
    found = calibrate(
        cells_of(
            rows(make_trial, "ceiling", [1.0])
            + rows(make_trial, "floor", [0.2, 0.3, 0.4], model="a")
            + rows(make_trial, "floor", [0.0, 0.0, 0.0], model="b")
        )
    )
    row = next(floor for floor in found.floors if floor.cell.model == "a")
    assert row.alone.half == pytest.approx(0.248414, abs=1e-5)
    assert row.together.half == pytest.approx(6.205347 * 0.1 / 3**0.5, rel=1e-6)
    assert not row.holds_alone
    assert row.holds
    assert found.holds


def test_floor_far_from_zero_is_broken(make_trial):
    found = calibrate(
        cells_of(rows(make_trial, "ceiling", [1.0]) + rows(make_trial, "floor", [0.30, 0.31, 0.32]))
    )
    assert found.broken == found.floors


def test_single_seed_is_not_tested(make_trial):
    found = calibrate(cells_of(rows(make_trial, "ceiling", [1.0]) + rows(make_trial, "floor", [0.7])))
    assert found.holds
    assert not found.floors[0].tested


@pytest.mark.parametrize("role", ["ceiling", "floor"])
def test_without_both_kinds_of_rows_nothing_is_calibrated(make_trial, role):
    skill = {"ceiling": 1.0, "floor": 0.0}[role]
    assert not calibrate(cells_of(rows(make_trial, role, [skill, skill]))).holds


def test_rows_without_an_answer_are_left_out(make_trial):
    trials = [make_trial(technique="truth", role="ceiling", status="invalid")]
    assert calibrate(cells_of(trials)).ceilings == ()
