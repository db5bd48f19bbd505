"""Which trials are verified, which differ, and of which it cannot be told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interp_bench.board.verdicts import cannot, judge, marks, table
from interp_bench.harness.trial import Trial

OTHER = {"provenance": {"torch": "9.9"}}


@pytest.fixture
def trial(make_trial: Any) -> Trial:
    made: Trial = make_trial(skill=0.5, floor_scores={"mcc": 0.0}, ceiling_scores={"mcc": 1.0})
    return made


def changed(trial: Trial, **changes: Any) -> Trial:
    fields = trial.model_dump()
    provenance = {**fields["provenance"], **changes.pop("provenance", {})}
    return Trial(**{**fields, **changes, "provenance": provenance})


def test_costs_run_and_time_are_not_compared(trial: Trial) -> None:
    again = changed(
        trial, seconds=99.0, cpu_seconds=9.0, peak_memory_mb=7.0, forwards=77, backwards=5, plant_seconds=3.0,
        grade_seconds=2.0, run_id="another", warnings={"W": 2},
        provenance={"started_at": "2027-01-01T00:00:00Z", "git_commit": "abc", "isolation": "none"},
    )  # fmt: skip
    verdict = judge(trial, again, None)
    assert (verdict.mark, verdict.how) == ("verified", "bit for bit")


@pytest.mark.parametrize("field", ["scores", "floor_scores", "floor_spread", "ceiling_scores"])
def test_in_the_same_surroundings_the_last_bit_counts(trial: Trial, field: str) -> None:
    again = changed(trial, **{field: {"mcc": 0.5000000000000001}})
    verdict = judge(trial, again, None)
    assert verdict.mark == "differs"
    assert verdict.how.startswith(f"{field.replace('_', ' ')}: 'mcc' ")


@pytest.mark.parametrize(
    ("here", "tolerance", "mark"),
    [
        (0.5, None, "verified"),
        (0.51, None, "verified"),
        (0.53, None, "differs"),
        (0.47, None, "differs"),
        (0.53, 0.05, "verified"),
        (0.51, 0.0, "differs"),
    ],
)
def test_in_other_surroundings_skill_may_differ_within_the_tolerance(
    trial: Trial, here: float, tolerance: float | None, mark: str
) -> None:
    verdict = judge(trial, changed(trial, skill=here, scores={"mcc": here}, **OTHER), tolerance)
    assert verdict.mark == mark
    assert ("made with torch 2.15.0" in verdict.how) == (mark == "verified" and here != 0.5)


def test_a_tolerance_that_was_asked_for_holds_in_the_same_surroundings_too(trial: Trial) -> None:
    again = changed(trial, skill=0.51, scores={"mcc": 0.51})
    assert judge(trial, again, None).mark == "differs"
    assert judge(trial, again, 0.02).mark == "verified"
    assert judge(trial, again, 0.005).mark == "differs"


@pytest.mark.parametrize(
    ("field", "value"),
    [("params", 30_000_000), ("ladder", "another"), ("role", "floor"), ("modality", "image"), ("key", "k")],
)
def test_a_false_fact_differs_whatever_the_tolerance(trial: Trial, field: str, value: object) -> None:
    verdict = judge(trial, changed(trial, **{field: value}, **OTHER), 1.0)
    assert verdict.mark == "differs"
    assert verdict.how.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("there", "here", "mark"),
    [
        ("ok", "failed", "differs"),
        ("failed", "ok", "differs"),
        ("invalid", "ok", "differs"),
        ("ok", "timed_out", "cannot"),
        ("timed_out", "ok", "cannot"),
        ("out_of_memory", "failed", "cannot"),
        ("crashed", "ok", "cannot"),
        ("timed_out", "timed_out", "verified"),
        ("failed", "failed", "verified"),
    ],
)
def test_a_status_must_repeat_unless_it_is_the_machines(
    trial: Trial, there: str, here: str, mark: str
) -> None:
    def ended(status: str) -> Trial:
        kept = {} if status == "ok" else {"skill": None, "scores": {}}
        return changed(trial, status=status, reason="" if status == "ok" else "why", **kept)

    assert judge(ended(there), ended(here), None).mark == mark


def test_a_model_that_was_not_there_tells_nothing(trial: Trial) -> None:
    absent = {"status": "skipped", "skill": None, "scores": {}, "ceiling_scores": {}, "floor_scores": {}}
    assert judge(changed(trial, **absent), trial, None).mark == "cannot"
    declined = {**absent, "ceiling_scores": {"mcc": 1.0}}
    assert judge(changed(trial, **declined), trial, None).mark == "differs"


def test_checks_that_are_no_numbers_are_the_same(trial: Trial) -> None:
    check = {"cut": {"value": float("nan"), "relation": "<=", "bound": float("inf"), "passed": True}}
    assert (
        judge(changed(trial, certificate=check), changed(trial, certificate=check), None).mark == "verified"
    )


def test_table_and_file_put_what_differs_first(trial: Trial) -> None:
    other = changed(trial, technique="a\nb", skill=0.25, scores={"mcc": 0.25})
    found = [
        judge(trial, trial, None),
        cannot(changed(trial, technique="gone"), "no technique features/gone\nis installed here"),
        judge(changed(trial, technique="a\nb"), other, None),
    ]
    lines = table(found).splitlines()
    assert [line.split()[2:5] for line in lines[2:3]] == [["differs", "0.50", "0.25"]]
    assert [line.split()[1] for line in lines[3:5]] == ["cannot", "verified"]
    assert lines[6:8] == [
        "differs: features/dictionary[a b-tiny-0]: skill: 0.5 there and 0.25 here",
        "cannot: features/dictionary[gone-tiny-0]: no technique features/gone is installed here",
    ]
    assert lines[-1] == "1 verified, 1 differ, 1 cannot be told here"
    written = json.loads(marks(found, {"seed": 3}))
    assert written["seed"] == 3
    assert [row["mark"] for row in written["marks"]] == ["differs", "cannot", "verified"]
    assert [row["here"] for row in written["marks"]] == [0.25, None, 0.5]
    assert marks(list(reversed(found)), {"seed": 3}) == marks(found, {"seed": 3})
