"""Export and leaderboard, from a store to a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_bench.board import jsonl
from interp_bench.board.markdown import page
from interp_bench.cli import main
from interp_bench.harness.store import DEFAULT_PATH, Store

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "leaderboard" / "trials"


@pytest.fixture
def stored(run, make_trial, tmp_path):
    """Fill the default store with two runs of two tracks."""
    with Store.open(tmp_path / DEFAULT_PATH) as store:
        store.put(make_trial(run_id="first", skill=0.1))
        store.put(make_trial(run_id="first", technique="das", track="concepts", task="parity"))
        store.put(make_trial(run_id="second", skill=0.9, provenance={"started_at": "2026-01-03T00:00:00Z"}))
    return run


def test_export_writes_the_latest_trials_by_track(stored, tmp_path):
    ran = stored("export")
    assert ran.status == 0
    assert "    1 trials  leaderboard/trials/concepts.jsonl" in ran.out
    trials = jsonl.read(tmp_path / "leaderboard" / "trials")
    assert sorted((trial.track, trial.skill) for trial in trials) == [("concepts", 0.8), ("features", 0.9)]


@pytest.mark.parametrize(("run_id", "skills"), [("first", [0.8, 0.1]), ("second", [0.9]), ("last", [0.9])])
def test_export_of_one_run(stored, tmp_path, run_id, skills):
    assert stored("export", "--run-id", run_id, "--out", "elsewhere").status == 0
    assert [trial.skill for trial in jsonl.read(tmp_path / "elsewhere")] == skills


def test_export_says_which_files_it_left(stored):
    stored("export")
    assert "left as they are: concepts.jsonl" in stored("export", "--run-id", "last").out


def test_unknown_run_suggests_one(stored):
    ran = stored("export", "--run-id", "secnd")
    assert ran.status == 4
    assert "holds no run 'secnd' (did you mean 'second'?)" in ran.err


def test_empty_store_and_foreign_file_are_refused_in_one_line(run, tmp_path):
    Store.open(tmp_path / "empty.sqlite3").close()
    assert "holds no trials yet" in run("export", "--store", "empty.sqlite3").err
    assert "holds no runs yet" in run("export", "--store", "empty.sqlite3", "--run-id", "last").err
    (tmp_path / "foreign.sqlite3").write_text("not a database, but long enough to be read as one" * 30)
    ran = run("export", "--store", "foreign.sqlite3")
    assert ran.status == 4
    assert ran.err.count("\n") == 1


def test_leaderboard_is_written_checked_and_found_stale(stored, tmp_path):
    readme = tmp_path / "leaderboard" / "README.md"
    stored("export")
    missing = stored("leaderboard", "--check")
    assert (missing.status, "is missing" in missing.err) == (1, True)
    assert "written" in stored("leaderboard").out
    first = readme.read_bytes()
    assert stored("leaderboard", "--check").status == 0
    assert "unchanged" in stored("leaderboard").out
    assert readme.read_bytes() == first
    readme.write_bytes(first.replace(b"0.90", b"0.99"))
    stale = stored("leaderboard", "--check")
    assert (stale.status, "is stale" in stale.err) == (1, True)
    assert b"0.99" in readme.read_bytes()


def test_unwritable_page_is_one_line(stored, tmp_path):
    stored("export")
    (tmp_path / "file").write_text("")
    ran = stored("leaderboard", "--out", "file/README.md")
    assert (ran.status, ran.err.count("\n")) == (4, 1)


def test_damaged_line_names_file_and_line(stored, tmp_path):
    stored("export")
    path = tmp_path / "leaderboard" / "trials" / "features.jsonl"
    path.write_text(path.read_text("utf-8").replace('"ok"', '"fine"'), "utf-8")
    ran = stored("leaderboard")
    assert ran.status == 4
    assert "features.jsonl:1: not a trial: status:" in ran.err


@pytest.mark.skipif(not any(COMMITTED.glob("*.jsonl")), reason="no trials are committed yet")
def test_committed_leaderboard_is_what_its_trials_say(tmp_path):
    committed = COMMITTED.parent / "README.md"
    trials = jsonl.read(COMMITTED)
    assert committed.read_bytes() == page(trials).encode("utf-8")
    assert main(["leaderboard", "--trials", str(COMMITTED), "--out", str(committed), "--check"]) == 0
    jsonl.export(trials, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        p.name: p.read_bytes() for p in COMMITTED.glob("*.jsonl")
    }
