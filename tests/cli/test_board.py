"""``interp-bench board show``: the tables of a run, of any trials that are stored or exported."""

from __future__ import annotations

import pytest

from interp_bench.board import jsonl
from interp_bench.board.terminal import summary
from interp_bench.harness.store import DEFAULT_PATH, Store


@pytest.fixture
def trials(make_trial):
    """Trials of two tracks on two ladders, skills of which differ."""
    skills = {("features", "pythia"): 0.25, ("features", "gpt"): 0.5, ("concepts", "gpt"): 0.75}
    return [
        make_trial(track=track, ladder=ladder, model=f"{ladder}-1", seed=seed, skill=skill)
        for (track, ladder), skill in skills.items()
        for seed in (0, 1)
    ]


@pytest.fixture
def exported(run, trials, tmp_path):
    jsonl.export(trials, tmp_path / "leaderboard" / "trials")
    return run


def test_it_prints_what_a_run_of_these_trials_prints(exported, trials):
    ran = exported("board", "show")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == summary(trials) + "\n"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (("--track", "concepts"), lambda trial: trial.track == "concepts"),
        (("--ladder", "pythia"), lambda trial: trial.ladder == "pythia"),
        (("--track", "features", "--ladder", "gpt"), lambda t: (t.track, t.ladder) == ("features", "gpt")),
        (("--trials", "leaderboard/trials/concepts.jsonl"), lambda trial: trial.track == "concepts"),
    ],
)
def test_only_what_was_asked_for_is_shown(exported, trials, options, kept):
    chosen = [trial for trial in trials if kept(trial)]
    assert 0 < len(chosen) < len(trials)
    assert exported("board", "show", *options).out == summary(chosen) + "\n"


def test_a_store_is_shown_by_itself(run, trials, tmp_path):
    for path in (DEFAULT_PATH, "other.sqlite3"):
        with Store.open(tmp_path / path) as store:
            for trial in trials:
                store.put(trial)
    assert run("board", "show", "--store").out == summary(trials) + "\n"
    assert run("board", "show", "--store", "other.sqlite3").out == summary(trials) + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("board",), "the following arguments are required: COMMAND"),
        (("board", "shw"), "no command 'shw' (did you mean 'show'?)"),
        (("board", "show", "--store", "none"), "there is no store none"),
        (("board", "show", "--trials", "none"), "there are no trials (*.jsonl) in none"),
        (("board", "show", "--trials", "a", "--store", "b"), "not allowed with argument"),
        (("board", "show", "--track", "feature"), "of the track 'feature' (did you mean 'features'?)"),
        (("board", "show", "--ladder", "zzz"), "there are gpt, pythia"),
    ],
)
def test_mistakes_are_one_line(exported, options, message):
    ran = exported(*options)
    assert (ran.status, ran.out, ran.err.count("\n")) == (4, "", 1)
    assert message in ran.err
