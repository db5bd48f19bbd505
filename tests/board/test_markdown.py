"""The page: same trials, same bytes; every number where a reader looks for it."""

from __future__ import annotations

import random

from interp_bench.board.markdown import page
from interp_bench.board.pipes import table


def row(text, heading, first):
    """Return the cells of the row that starts with ``first`` below a heading."""
    after = text.split(f"\n{heading}\n", 1)[1]
    line = next(line for line in after.splitlines() if line.startswith(f"| {first} "))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_same_bytes_under_any_order(board):
    first = page(board)
    for seed in range(3):
        random.Random(seed).shuffle(board)
        assert page(board) == first
    assert first.endswith("\n")
    assert not first.endswith("\n\n")


def test_changed_trial_changes_the_page(board):
    first = page(board)
    victim = next(i for i, trial in enumerate(board) if trial.technique == "pca")
    board[victim] = board[victim].model_copy(update={"skill": 0.99})
    assert page(board) != first


def test_overview_runs_from_ceiling_to_floor(board):
    overview = page(board).split("## Overview")[1].split("## Attribution")[0]
    names = [line.split("|")[1].strip() for line in overview.splitlines() if line.startswith("|")][2:]
    assert names[0] == "ceiling"
    assert names[-1] == "random"
    assert len(names) == 14


def test_matrix_marks_what_works_and_what_gave_no_answer(board):
    text = page(board)
    das = row(text, "### concepts/labelled_variable", "smollm2-135m")
    assert das[:3] == ["smollm2-135m", "smollm2", "135m"]
    assert das[3] == "**1.00 ±0.00**"
    assert das[4] == "0.00 ±0.00 (3 timed_out)"
    assert "(1 invalid)" in row(text, "### circuits/planted_program", "vit-tiny")[3]


def test_a_failed_trial_is_no_part_of_skill_and_counts_as_the_floor_in_ranked(board):
    text = page(board)
    concepts = text.split("## Concepts")[1]
    assert "| technique       | skill       | ranked      | lm " in concepts
    das = row(text, "## Concepts", "das")
    assert das[1] != das[2]
    assert das[5:7] == ["7", "6+1 of 7"]
    assert "count each as 0, the floor" in concepts.split("###")[0]
    circuits = text.split("## Circuits")[1].split("###")[0]
    assert "ranked" not in circuits
    assert "No trial failed here." in circuits
    assert row(text, "## Overview", "das")[3] == das[2]


def test_the_overview_says_how_many_cells_a_row_rests_on(make_trial):
    trials = [
        make_trial(model="a"),
        make_trial(model="b", status="skipped", reason="x"),
        make_trial(model="a", track="concepts", task="parity"),
        make_trial(model="c", track="concepts", task="parity", status="failed", reason="x"),
    ]
    assert row(page(trials), "## Overview", "pca") == ["pca", "0.40 ±5.08", "0.80", "3 of 4"]


def test_outcomes_say_what_counts_as_what(make_trial):
    text = page([make_trial(), make_trial(seed=1, status="crashed", reason="the process that ran it died")])
    outcomes = text.split("## Outcomes")[1]
    assert "counts as skill 0 wherever techniques are ranked" in outcomes
    assert row(text, "## Outcomes", "crashed") == ["crashed", "1"]
    assert "the process that ran it died" in outcomes


def test_cells_that_were_never_scored_hold_a_word_not_a_number(make_trial):
    trials = [
        make_trial(model="a", skill=0.4),
        make_trial(model="b", status="skipped", reason="its weights are not here"),
        make_trial(technique="ica", model="a", skill=0.4),
    ]
    text = page(trials)
    assert row(text, "### features/dictionary", "b")[3:] == ["-", "skipped"]
    assert "its weights are not here" in text


def test_reach_calibration_and_certificates_are_there(board):
    text = page(board)
    assert "31k..453k, edge 453k to 5.1m" in row(text, "### Reach in circuits", "native-ln")
    assert "26 of 26 rows of the truth are 1." in text
    assert "26 of 26 rows of guessing hold 0" in text
    assert row(text, "## Certificates", "circuits/planted_program") == [
        "circuits/planted_program",
        "15",
        "14",
    ]
    assert row(text, "## Models", "smollm2-135m")[4] == "134,515,008"


def test_broken_calibration_is_bold(make_trial):
    trials = [
        make_trial(technique="ceiling", role="ceiling", skill=0.9),
        make_trial(technique="random", role="floor", skill=0.0),
    ]
    assert row(page(trials), "## Calibration", "features/dictionary")[-1] == "**no**"


def test_provenance_is_pooled_and_holds_no_time_of_day(board):
    text = page(board)
    assert row(text, "## Overview", "ceiling")
    assert "| date (UTC)        | 2026-01-02" in text
    assert "03:04" not in text
    assert "| torch             | 2.15.0" in text


def test_secret_seeds_are_named_by_their_commitment(board):
    assert "secret seeds" not in page(board)
    hidden = board[0].model_copy(update={"seed_secret": "7b2d6b836214dd06"})
    assert "| secret seeds, by commitment | 7b2d6b836214dd06 |" in " ".join(
        page([hidden, *board[1:]]).split()
    )


def test_cells_of_a_table_cannot_break_it():
    text = table(["a", "b"], [["x | y\nz", "<script> 1 <2"]])
    assert text.splitlines() == [
        "| a        | b                |",
        "| -------- | :--------------: |",
        "| x \\| y z | &lt;script> 1 <2 |",
    ]


def test_controls_have_a_section_of_their_own_and_change_no_other(board, make_trial):
    plain = page(board)
    assert "False discovery" not in plain
    added = [
        make_trial(
            technique="pca", model=model, control="unplanted", skill=skill, role="technique",
            key=f"{model}c", task="dictionary",
        )
        for model, skill in (("native-30k", 0.4), ("native-450k", 0.4))
    ]  # fmt: skip
    text = page([*added, *board])
    before, _, after = text.partition("## False discovery")
    section, _, after = after.partition("## Certificates")
    assert before == plain.partition("## Certificates")[0]
    assert (
        after.partition("## Outcomes")[0] == plain.partition("## Certificates")[2].partition("## Outcomes")[0]
    )
    pca = row(section, "### Controls of features", "pca")
    assert pca[2:] == ["0.40 ±0.00", "2", "**finds what is not there**"]
    assert "it would have said the same without the mechanism" in section
