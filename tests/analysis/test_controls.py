"""False discovery, worked out by hand; control trials enter no other number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from interp_bench.analysis.calibration import calibrate
from interp_bench.analysis.cells import cells_of, newest
from interp_bench.analysis.controls import false_discoveries_of
from interp_bench.analysis.standings import standings_of
from interp_bench.harness.trial import Trial

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


def _trials(make_trial: MakeTrial, skills: list[float], control: str = "", **fields: Any) -> list[Trial]:
    """Return one trial a model."""
    return [
        make_trial(model=f"m{i}", skill=skill, control=control, key=f"{i}{control}{fields}", **fields)
        for i, skill in enumerate(skills)
    ]


def test_skill_on_a_control_has_the_t_interval_over_its_trials(make_trial: MakeTrial) -> None:
    found = false_discoveries_of(
        _trials(make_trial, [0.8, 0.6]) + _trials(make_trial, [0.4, 0.5, 0.6], "unplanted")
    )
    (row,) = found["features"]
    # Standard deviation 0.1, t(0.975, 2) = 4.30265: half = 4.30265 * 0.1 / sqrt(3).
    assert row.skills["unplanted"].mean == pytest.approx(0.5)
    assert row.skills["unplanted"].low == pytest.approx(0.5 - 0.24841, abs=1e-5)
    assert row.skills.keys() == {"unplanted"}
    assert row.planted == pytest.approx(0.7)
    assert row.found == ("unplanted",)


@pytest.mark.parametrize(
    ("skills", "found"),
    [
        # Half is 12.7062 * sd / sqrt(2), 0.12706 where the two differ by 0.02.
        ([0.23, 0.25], ("shuffled",)),
        ([0.21, 0.23], ()),
        ([0.9], ()),
        ([-0.9, -0.9], ()),
        ([0.1, 0.1], ()),
    ],
)
def test_the_lower_bound_has_to_exceed_a_tenth(
    make_trial: MakeTrial, skills: list[float], found: tuple[str, ...]
) -> None:
    (row,) = false_discoveries_of(_trials(make_trial, skills, "shuffled"))["features"]
    assert row.found == found
    assert row.decidable == (len(skills) > 1)
    assert row.planted is None


def test_a_crash_on_a_control_reports_nothing(make_trial: MakeTrial) -> None:
    crashed = make_trial(model="z", control="unplanted", key="z", status="failed", reason="x")
    (row,) = false_discoveries_of([*_trials(make_trial, [0.4, 0.4], "unplanted"), crashed])["features"]
    assert (row.skills["unplanted"].mean, row.skills["unplanted"].n) == (0.4, 2)
    assert (row.answered, row.asked) == (2, 3)
    assert false_discoveries_of([crashed]) == {}


def test_rows_come_worst_first_and_guessing_last(make_trial: MakeTrial) -> None:
    trials = [
        trial
        for name, role, skill in (("a", "technique", 0.0), ("b", "technique", 0.5), ("random", "floor", 0.9))
        for trial in _trials(make_trial, [skill, skill], "unplanted", technique=name, role=role)
    ]
    assert [row.technique for row in false_discoveries_of(trials)["features"]] == ["b", "a", "random"]


def test_controls_enter_no_other_number(make_trial: MakeTrial) -> None:
    plain = [
        trial
        for name, role, skill in (
            ("ceiling", "ceiling", 1.0), ("pca", "technique", 0.6), ("random", "floor", 0.0),
        )
        for trial in _trials(make_trial, [skill, skill], technique=name, role=role)
    ]  # fmt: skip
    controls = [
        trial
        for name, role in (("pca", "technique"), ("random", "floor"))
        for trial in _trials(make_trial, [0.9, 0.9], "shuffled", technique=name, role=role)
    ]
    assert len(newest(plain + controls)) == 10
    assert cells_of(plain + controls) == cells_of(plain)
    assert standings_of(cells_of(plain + controls)) == standings_of(cells_of(plain))
    assert calibrate(cells_of(plain + controls)).holds
