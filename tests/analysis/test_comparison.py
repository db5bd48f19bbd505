"""Two runs compared, against numbers worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_bench.analysis.comparison import compare
from interp_bench.board.comparison import comparison_text
from tests.conftest import _make_trial

if TYPE_CHECKING:
    from tests.conftest import MakeTrial

FAILED = {"status": "failed", "reason": "ValueError: no luck"}
SKIPPED = {"status": "skipped", "reason": "does not apply"}


@pytest.fixture
def runs(make_trial: MakeTrial):
    """Return a function that makes two runs of one cell from lists of skills; a dict is a status."""

    def runs(before, now, **where):
        return tuple(
            [
                make_trial(seed=seed, **where, **(value if isinstance(value, dict) else {"skill": value}))
                for seed, value in enumerate(values)
                if value is not None
            ]
            for values in (before, now)
        )

    return runs


def joined(*pairs):
    return [trial for old, _ in pairs for trial in old], [trial for _, new in pairs for trial in new]


def only(runs):
    comparison = compare(*runs)
    (cell,) = comparison.cells
    assert comparison.verdicts == {cell.verdict: 1}
    return cell


def test_a_cell_is_better_where_the_paired_interval_leaves_zero(runs) -> None:
    cell = only(runs([0.1, 0.4, 0.7], [0.30, 0.61, 0.92]))
    # Differences 0.20, 0.21, 0.22: mean 0.21, half width 4.302653 x 0.01 / sqrt 3 = 0.024841.
    assert cell.verdict == "better"
    assert cell.paired.difference.mean == pytest.approx(0.21)
    assert cell.paired.difference.half == pytest.approx(0.024841, abs=1e-6)
    assert (cell.before, cell.now) == (pytest.approx(0.4), pytest.approx(0.61))
    assert only(runs([0.30, 0.61, 0.92], [0.1, 0.4, 0.7])).verdict == "worse"


def test_a_cell_that_wavers_is_undecided(runs) -> None:
    cell = only(runs([0.1, 0.4, 0.7], [0.3, 0.3, 0.9]))
    assert (cell.verdict, cell.paired.difference.mean) == ("undecided", pytest.approx(0.1))


def test_equal_results_are_the_same_and_one_changed_seed_is_undecided(runs) -> None:
    assert only(runs([0.1, 0.4], [0.1, 0.4])).verdict == "same"
    assert only(runs([0.1], [0.1])).verdict == "same"
    cell = only(runs([0.1], [0.9]))
    assert (cell.verdict, cell.paired.difference.bounded, cell.paired.p) == ("undecided", False, None)


def test_seeds_of_one_run_alone_do_not_count(runs) -> None:
    cell = only(runs([0.1, 0.9], [0.1, None, 0.0]))
    assert (cell.verdict, cell.before, cell.now, cell.paired.difference.n) == ("same", 0.1, 0.1, 1)
    apart = only(runs([0.1, None], [None, 0.4]))
    assert (apart.verdict, apart.before, apart.now, apart.paired) == ("undecided", 0.1, 0.4, None)


def test_a_lost_skill_is_worse_and_a_found_one_better_without_a_test(runs) -> None:
    lost = only(runs([0.6, 0.6], [0.6, FAILED]))
    assert (lost.verdict, lost.lost, lost.found) == ("worse", 1, 0)
    assert (lost.now, lost.paired.difference.mean) == (pytest.approx(0.3), pytest.approx(-0.3))
    assert only(runs([0.6], [FAILED])).verdict == "worse"
    found = only(runs([FAILED, 0.6], [0.6, 0.6]))
    assert (found.verdict, found.found, found.before) == ("better", 1, pytest.approx(0.3))
    assert only(runs([FAILED], [0.01])).verdict == "better"


def test_failing_is_never_better(runs) -> None:
    assert only(runs([-0.5], [FAILED])).verdict == "worse"
    assert only(runs([-0.5, 0.1], [FAILED, 0.9])).verdict == "undecided"
    assert only(runs([FAILED, 0.5, 0.5], [0.1, 0.1, 0.11])).verdict == "undecided"
    assert only(runs([FAILED, FAILED], [FAILED, FAILED])).verdict == "same"


def test_what_only_one_run_has_is_new_or_gone(runs) -> None:
    assert only(runs([], [0.5])).verdict == "new"
    gone = only(runs([0.4, 0.6], []))
    assert (gone.verdict, gone.before, gone.now) == ("gone", 0.5, None)
    assert only(runs([0.5], [SKIPPED])).verdict == "gone"
    assert only(runs([SKIPPED], [0.5])).verdict == "new"
    nothing = compare(*runs([SKIPPED], [SKIPPED]))
    assert (nothing.cells, nothing.techniques, nothing.statuses) == ((), (), ())


def test_a_status_change_is_told_and_never_missing(runs) -> None:
    (change,) = compare(*runs([0.5], [SKIPPED])).statuses
    assert (change.before, change.now, change.reason) == ("ok", "skipped", "does not apply")


def three_cells(runs, technique, changes):
    """Return runs of three cells on two models with two seeds each; a change is the same for both."""
    places = (("dictionary", "tiny"), ("other", "tiny"), ("dictionary", "big"))
    return joined(
        *(
            runs([0.2, 0.4], [0.2 + change, 0.4 + change], technique=technique, task=task, model=model)
            for change, (task, model) in zip(changes, places, strict=True)
        )
    )


def test_a_technique_is_judged_over_its_cells(runs) -> None:
    (row,) = compare(*three_cells(runs, "pca", [0.1, 0.2, 0.3])).techniques
    assert (row.technique, row.track, row.cells, row.models) == ("pca", "features", 3, 2)
    assert row.paired.difference.mean == pytest.approx(0.2)
    assert row.paired.difference.half == pytest.approx(4.302653 * 0.1 / 3**0.5, abs=1e-6)
    assert (row.before, row.now) == (pytest.approx(0.3), pytest.approx(0.5))
    assert row.p == pytest.approx(1 - (12 / 14) ** 0.5)
    assert row.verdict == "undecided"
    assert row.verdicts == {"better": 3}


def test_p_values_of_techniques_are_corrected_for_one_another(runs) -> None:
    # t = 0.21 / (0.01 / sqrt 3), t^2 = 1323, p = 1 - sqrt(1323 / 1325) = 0.000755; times 2 of 2 tests.
    old, new = joined(
        three_cells(runs, "pca", [0.20, 0.21, 0.22]),
        three_cells(runs, "ica", [0.1, 0.2, 0.3]),
        three_cells(runs, "nmf", [0.0, 0.0, 0.0]),
    )
    rows = {row.technique: row for row in compare(old, new).techniques}
    assert rows["pca"].p == pytest.approx(2 * (1 - (1323 / 1325) ** 0.5))
    assert rows["ica"].p == pytest.approx(1 - (12 / 14) ** 0.5)
    assert rows["nmf"].p is None
    assert {name: row.verdict for name, row in rows.items()} == {
        "pca": "better",
        "ica": "undecided",
        "nmf": "same",
    }


def test_the_correction_can_undo_a_verdict(runs) -> None:
    # Alone p = 1 - sqrt(t^2 / (t^2 + 2)) with t = 0.2 / (0.07 / sqrt 3), t^2 = 24.49: 0.0385; twice 0.0770.
    alone = three_cells(runs, "pca", [0.13, 0.2, 0.27])
    beside = three_cells(runs, "ica", [0.13, 0.2, 0.27])
    (row,) = compare(*alone).techniques
    assert (row.verdict, row.p) == ("better", pytest.approx(0.0385, abs=1e-4))
    rows = compare(*joined(alone, beside)).techniques
    assert [(r.verdict, r.p) for r in rows] == [("undecided", pytest.approx(0.0770, abs=1e-4))] * 2


def test_a_technique_of_one_cell_is_judged_over_its_seeds(runs) -> None:
    (row,) = compare(*runs([0.1, 0.4, 0.7], [0.30, 0.61, 0.92])).techniques
    assert (row.verdict, row.cells, row.paired.difference.n) == ("better", 1, 3)


def test_a_technique_that_lost_skills_is_worse_unless_its_mean_rose(runs) -> None:
    lost = joined(
        runs([0.5], [FAILED], model="a"), runs([0.5], [0.5], model="b"), runs([0.5], [0.5], model="c")
    )
    (row,) = compare(*lost).techniques
    assert (row.verdict, row.lost) == ("worse", 1)
    risen = joined(runs([0.1], [FAILED], model="a"), runs([0.5], [0.9], model="b"))
    assert compare(*risen).techniques[0].verdict == "undecided"
    found = joined(runs([FAILED], [0.5], model="a"), runs([0.5], [0.5], model="b"))
    assert compare(*found).techniques[0].verdict == "better"


def test_a_technique_without_a_common_cell_is_new_gone_or_undecided(runs) -> None:
    old, new = joined(
        runs([], [0.5], technique="fresh"),
        runs([0.5], [], technique="removed"),
        runs([0.5], [], technique="moved", model="a"),
        runs([], [0.5], technique="moved", model="b"),
    )
    found = {row.technique: (row.verdict, row.cells, row.paired) for row in compare(old, new).techniques}
    assert found == {
        "fresh": ("new", 0, None),
        "removed": ("gone", 0, None),
        "moved": ("undecided", 0, None),
    }


def test_a_track_is_judged_over_places_without_truth_and_guessing(runs) -> None:
    old, new = joined(
        three_cells(runs, "pca", [0.1, 0.2, 0.3]),
        three_cells(runs, "ica", [0.3, 0.4, 0.5]),
        runs([1.0], [0.2], technique="ceiling", role="ceiling"),
    )
    (row,) = compare(old, new).tracks
    # Places: means 0.2, 0.3, 0.4 over the two techniques.
    assert (row.technique, row.track, row.cells, row.models) == ("", "features", 6, 2)
    assert row.paired.difference.n == 3
    assert row.paired.difference.mean == pytest.approx(0.3)
    assert row.p == pytest.approx(1 - (27 / 29) ** 0.5)
    assert len(compare(old, new).techniques) == 3
    assert compare(*runs([1.0], [1.0], technique="ceiling", role="ceiling")).tracks == ()


def test_another_question_is_flagged(runs, make_trial: MakeTrial) -> None:
    old, new = runs([0.1, 0.2], [0.3, 0.4])
    assert not only((old, new)).another_question
    changed = [trial.model_copy(update={"task_version": 2}) for trial in new]
    comparison = compare(old, changed)
    assert comparison.cells[0].another_question
    ((part, pairs),) = [(count.part, count.pairs) for count in comparison.parts]
    assert (part.name, part.before, part.now, pairs) == ("task version", "1", "2", 2)
    other_technique = [trial.model_copy(update={"technique_version": 2}) for trial in new]
    assert not only((old, other_technique)).another_question


SKILLS = st.sampled_from([-1.7e308, -0.5, 0.0, 1e-300, 0.25, 0.5, 1.0, 1.7e308])
SIDES = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 2)), SKILLS, max_size=12
)
MIRROR = {"better": "worse", "worse": "better", "new": "gone", "gone": "new"}


@given(SIDES, SIDES)
@settings(max_examples=60, deadline=None)
def test_the_other_way_round_every_verdict_is_mirrored(before, now) -> None:
    old, new = (
        [_make_trial(technique=t, model=m, seed=s, skill=value) for (t, m, s), value in side.items()]
        for side in (before, now)
    )
    there, back = compare(old, new), compare(new, old)
    for rows, mirrored in ((there.cells, back.cells), (there.techniques, back.techniques)):
        assert [MIRROR.get(row.verdict, row.verdict) for row in rows] == [row.verdict for row in mirrored]
    assert sum(there.verdicts.values()) == len({key[:2] for key in (*before, *now)})
    assert comparison_text(there, "run a").startswith("compared with run a: ")


def test_order_does_not_matter_and_controls_are_left_out(runs, make_trial: MakeTrial) -> None:
    old, new = three_cells(runs, "pca", [0.1, 0.2, 0.3])
    control = make_trial(control="unplanted", skill=0.0)
    assert compare(old[::-1], [control, *new[::-1]]) == compare(old, new)
    assert compare([], []).cells == ()
