"""The table at the end of a run: what it says, in which order, and that it fits."""

from __future__ import annotations

import random

import pytest

from interp_bench.board.terminal import REASONS_SHOWN, WIDTH, summary


def section(text, track):
    return next(part for part in text.split("\n\n") if part.startswith(f"{track}:")).splitlines()


def names(lines):
    return [line.split()[0] for line in lines[3:] if not line.startswith(" ")]


def test_fits_the_width_and_has_a_table_for_each_track(board):
    text = summary(board)
    assert text.startswith(
        "which cliff does the gear work on?   390 trials, 12 techniques, 4 tasks, 7 models, 3 seeds"
    )
    assert max(map(len, text.splitlines())) <= WIDTH
    for track in ("attribution", "circuits", "concepts", "features"):
        assert section(text, track)[0].startswith(f"{track}: skill from ")
    assert all(line == line.rstrip() or "  " in line for line in text.splitlines())


def test_rows_are_ceiling_techniques_by_skill_floor(board):
    assert names(section(summary(board), "circuits")) == [
        "ceiling",
        "activation_patching",
        "eap_integrated_gradients",
        "eap",
        "random",
    ]


def test_reach_says_where_it_works_and_where_not(board):
    lines = section(summary(board), "circuits")
    rows = {line.split()[0]: line for line in lines[3:]}
    assert "native-ln 31k..453k, not smollm2, vit" in rows["eap"]
    assert "every model" in rows["ceiling"]
    assert "nowhere" in rows["random"]


def test_failures_and_their_reasons_are_shown(board):
    text = summary(board)
    header, das = section(text, "concepts")[1], section(text, "concepts")[4]
    assert header.split()[-1] == "failed"
    assert das.split()[0] == "das"
    assert das.split()[-1] == "3"
    assert "took longer than 60 s" in text
    assert "failed" not in section(text, "circuits")[1]
    assert "ranked" not in section(text, "circuits")[1]
    assert header.split()[:3] == ["technique", "skill", "ranked"]
    # Skill of the six models with an answer; a seventh at 0 makes six sevenths of it.
    skill, ranked = float(das.split()[1]), float(das.split()[3])
    assert ranked == pytest.approx(skill * 6 / 7, abs=0.01)
    assert das.split()[-4:-1] == ["6+1", "of", "7"]
    assert "which orders the rows, lm, image and reach count each as 0, the floor" in text
    steady = [trial for trial in board if trial.status not in ("failed", "timed_out")]
    assert "ranked" not in summary(steady)


def test_rows_are_ordered_by_what_is_ranked(make_trial):
    trials = [make_trial(technique="steady", model=model, skill=0.5) for model in ("a", "b")]
    trials += [
        make_trial(technique="brittle", model="a", skill=0.9),
        make_trial(technique="brittle", model="b", status="crashed", reason="the process that ran it died"),
    ]
    lines = [line.split() for line in section(summary(trials), "features")[3:]]
    assert [line[:3] for line in lines] == [["steady", "0.50", "±0.00"], ["brittle", "0.90", "0.45"]]
    assert "the process that ran it died" in summary(trials)


def test_order_of_the_trials_does_not_matter(board):
    shuffled = list(board)
    random.Random(9).shuffle(shuffled)
    assert summary(shuffled) == summary(board)


def test_calibration_is_stated_and_shouted_when_off(make_trial):
    truth = [make_trial(technique="ceiling", role="ceiling", seed=seed, skill=1.0) for seed in range(2)]
    guess = [make_trial(technique="random", role="floor", seed=seed, skill=0.01 * seed) for seed in range(2)]
    assert "calibration: the truth scores 1 in 1 of 1 cells; guessing scores 0" in summary(truth + guess)
    off = summary([*truth[1:], make_trial(technique="ceiling", role="ceiling", skill=0.98), *guess])
    assert "CALIBRATION IS OFF in 1 cell" in off
    assert "features/dictionary on tiny: the truth scores 0.98" in off
    assert "not checked" in summary(truth)
    assert "guessing is not tested, that takes two seeds" in summary([*truth, guess[0]])


def test_single_seed_says_that_reach_needs_two(make_trial):
    assert "? (needs two seeds)" in summary([make_trial()])


def test_missing_skill_is_a_dash_not_a_zero(make_trial):
    row = section(summary([make_trial(status="skipped", reason="no weights")]), "features")[3]
    assert row.split() == ["pca", "-", "-", "-", "0", "of", "1"]


def test_many_reasons_are_cut_and_counted(make_trial):
    reasons = [f"reason {letter}" for letter in "abcdefghijk"]
    trials = [make_trial(seed=i, status="failed", reason=reason) for i, reason in enumerate(reasons)]
    assert f"and {len(reasons) - REASONS_SHOWN} more reasons" in summary(trials)


def test_no_trials_is_said():
    assert summary([]) == "no trials"


def controls(make_trial):
    """Return two trials of each control and technique; the second one always 0.02 better."""
    return [
        make_trial(
            track="concepts", task="labelled_variable", primary="interchange", technique=name, role=role,
            model=model, control=control, skill=skill + 0.02 * (model == "native-450k"),
            key=f"{name}{model}{control}",
        )
        for name, role, skill in (
            ("das", "technique", 0.0), ("mean_difference", "technique", 0.5), ("random", "floor", 0.0),
        )
        for model in ("native-30k", "native-450k")
        for control in ("unplanted", "shuffled")
    ]  # fmt: skip


def test_controls_have_a_table_of_their_own_and_change_no_other(board, make_trial):
    plain, text = summary(board), summary([*board, *controls(make_trial)])
    assert "false discovery" not in plain
    (table,) = [part for part in text.split("\n\n") if part.startswith("false discovery")]
    assert text.replace(f"{table}\n\n", "") == plain
    lines = {line.split()[1]: line for line in table.splitlines()[6:]}
    assert list(lines) == ["mean_difference", "das", "random"]
    planted = {
        name: sum(
            trial.skill
            for trial in board
            if (trial.technique, trial.seed) == (name, 0) and trial.model in ("native-30k", "native-450k")
        )
        / 2
        for name in ("das", "mean_difference")
    }
    assert lines["mean_difference"].split() == [
        "concepts", "mean_difference", f"{planted['mean_difference']:.2f}", "0.51", "±0.13", "0.51", "±0.13",
        "4", "finds", "what", "is", "not", "there",
    ]  # fmt: skip
    numbers = [f"{planted['das']:.2f}", "0.01", "±0.13", "0.01", "±0.13"]
    assert lines["das"].split() == ["concepts", "das", *numbers, "4"]
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_run_of_controls_alone_has_their_table(make_trial):
    text = summary(controls(make_trial))
    assert text.startswith("false discovery")
    one = summary([t for t in controls(make_trial) if t.model == "native-30k"])
    assert "? (needs two trials)" in one
