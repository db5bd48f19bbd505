"""The text of a comparison: what it says, in which order, and that it fits."""

from __future__ import annotations

import pytest

from interp_bench.analysis.comparison import compare
from interp_bench.board.columns import WIDTH
from interp_bench.board.comparison import SHOWN, comparison_text

FAILED = {"status": "failed", "reason": "ValueError: no luck"}


@pytest.fixture
def text(make_trial):
    """Return a function that compares cells, each given by skills before and now, and what it is."""

    def text(*cells, subject=""):
        sides = ([], [])
        for before, now, where in cells:
            for side, values, changes in zip(sides, (before, now), ({}, where.get("now", {})), strict=True):
                fields = {key: value for key, value in where.items() if key != "now"} | changes
                side += [
                    make_trial(seed=seed, **fields, **(v if isinstance(v, dict) else {"skill": v}))
                    for seed, v in enumerate(values)
                ]
        return comparison_text(compare(*sides), "run a", subject)

    return text


def table(text, start):
    part = next(part for part in text.split("\n\n") if part.startswith(start))
    return [line.split() for line in part.splitlines()]


def test_nothing_changed_is_two_lines(text):
    assert text(([0.5], [0.5], {}), ([0.5], [0.5], {"model": "big"})) == (
        "compared with run a: 2 same (cells of technique x task x model)\n\n"
        "1 technique same in every cell: features/pca"
    )


def test_nothing_to_compare_is_said(text):
    assert text() == "compared with run a: neither run has a skill"
    assert text(subject="run b").startswith("run b compared with run a:")


def test_each_verdict_is_counted(text):
    found = text(
        ([0.1, 0.2], [0.4, 0.5], {"model": "a"}),
        ([0.4, 0.5], [0.1, 0.2], {"model": "b"}),
        ([0.1, 0.2], [0.3, 0.1], {"model": "c"}),
        ([0.1, 0.2], [0.1, 0.2], {"model": "d"}),
        ([], [0.1], {"model": "e"}),
        ([0.1], [], {"model": "f"}),
    )
    assert found.startswith("compared with run a: 1 better, 1 worse, 1 undecided, 1 same, 1 new, 1 gone (")
    assert "gone: features/dictionary[pca-f] (skill was 0.100)" in found


def test_a_technique_has_its_difference_interval_p_and_cells(text):
    found = text(
        ([0.2, 0.2], [0.30, 0.30], {"model": "a"}),
        ([0.2, 0.2], [0.40, 0.40], {"model": "b"}),
        ([0.2, 0.2], [0.50, 0.50], {"model": "c"}),
        ([], [0.5], {"model": "d"}),
    )
    # Of the cells: mean 0.2, half width 4.302653 x 0.1 / sqrt 3 = 0.248, p = 1 - sqrt(12 / 14) = 0.074.
    assert table(found, "technique")[2] == [
        "features/pca", "undecided", "0.200", "0.400", "+0.200", "±0.248", "0.074", "3", "of", "4", "3",
    ]  # fmt: skip
    assert "all of features" not in found
    assert table(found, "largest")[2] == [
        "features/dictionary[pca-c]", "better", "0.200", "0.500", "+0.300", "±0.000", "2",
    ]  # fmt: skip


def test_a_track_of_several_techniques_has_a_row(text):
    found = text(
        ([0.2, 0.2], [0.3, 0.3], {"technique": "pca"}),
        ([0.2, 0.2], [0.1, 0.1], {"technique": "ica"}),
    )
    assert table(found, "technique")[-1][:4] == ["all", "of", "features", "same"]


def test_one_seed_has_no_interval_and_says_so(text):
    found = text(([0.2], [0.3], {}))
    line = "features/dictionary[pca-tiny] undecided 0.200 0.300 +0.100 1 n=1, no interval"
    assert table(found, "largest")[2] == line.split()


def test_lost_skills_stand_in_lines_of_their_own(text):
    found = text(([0.5, 0.6], [0.5, FAILED], {}))
    line = "features/pca ok failed 1 tiny ValueError: no luck"
    assert table(found, "status changed")[2] == line.split()
    assert table(found, "technique")[0][-1] == "lost"
    assert table(found, "technique")[2][-1] == "1"
    assert table(found, "largest")[2][-2:] == ["1", "lost"]
    assert "what fails counts as skill 0" in found


def test_what_else_changed_is_told(text):
    new = {"task_version": 2, "technique_version": 3, "provenance": {"torch": "3.0"}}
    found = text(([0.5, 0.5], [0.6, 0.6], {"now": new})).splitlines()
    assert found[1:4] == [
        "another question than before, so that a change may be the question's: "
        "features/dictionary task version 1 -> 2 (2 trials)",
        "techniques that are not what they were: features/pca technique version 1 -> 3 (2 trials)",
        "run with something else: torch 2.15.0 -> 3.0 (2 trials)",
    ]
    assert "features/dictionary[pca-tiny]  better*    0.500     0.600  +0.100 ±0.000  2" in found
    assert "*: asks another question than before" in found
    assert "*" not in text(([0.5, 0.5], [0.6, 0.6], {}))


def test_long_lists_are_cut_and_counted(text):
    many = [([0.1], [0.2 + i / 100], {"model": f"m{i:02}"}) for i in range(20)]
    gone = [([0.1], [], {"model": f"g{i:02}"}) for i in range(20)]
    broken = [
        ([0.1], [{"status": "failed", "reason": f"x {letter}"}], {"model": f"b{letter}"})
        for letter in "abcdefghijklmn"
    ]
    found = text(*many, *gone, *broken)
    assert len(table(found, "largest")) == 2 + SHOWN + 1
    assert "and 22 more changed cells" in found
    assert "gone: and 8 more" in found
    assert found.count("\ngone: ") == SHOWN + 1
    assert "and 2 more kinds of status change" in found
    assert table(found, "largest")[2][0] == "features/dictionary[pca-m19]"


def test_it_fits_the_width(board):
    new = [
        trial.model_copy(
            update=(
                {"skill": trial.skill * 0.9, "task_version": 2, "dials": {"a long dial": "x" * 90}}
                if trial.skill is not None
                else {"reason": "long " * 90, "status": "crashed"}
            )
        )
        for trial in board
    ]
    found = comparison_text(compare(board, new), "run " + "a" * 20)
    assert [line for line in found.splitlines() if len(line) > WIDTH] == []
    assert found == comparison_text(compare(board[::-1], new[::-1]), "run " + "a" * 20)
