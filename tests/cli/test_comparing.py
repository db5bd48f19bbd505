"""Stored trials compared on the command line."""

from __future__ import annotations

import pytest

from interp_bench.board import jsonl
from interp_bench.harness.store import DEFAULT_PATH, Store


@pytest.fixture
def stored(run, make_trial, tmp_path):
    """Fill the default store with two runs, and a folder with the trials of the first."""
    old = [make_trial(run_id="first", seed=seed, skill=0.5) for seed in range(2)]
    old.append(make_trial(run_id="first", technique="ica", skill=0.5))
    new = [
        make_trial(run_id="second", seed=seed, skill=0.45, technique_version=2, key=f"second-{seed}")
        for seed in range(2)
    ]
    new.append(
        make_trial(run_id="second", technique="ica", status="crashed", reason="killed", key="second-ica")
    )
    with Store.open(tmp_path / DEFAULT_PATH) as store:
        for trial in (*old, *new):
            store.put(trial)
    jsonl.export(old, tmp_path / "board")
    return run


def test_two_runs(stored):
    ran = stored("compare", "first", "second")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(
        "run second compared with run first: 2 worse (cells of technique x task x model)\n"
        "techniques that are not what they were: features/pca technique version 1 -> 2 (2 trials)\n"
    )
    assert "features/dictionary[pca-tiny]  worse      0.500     0.450  -0.050 ±0.000  2" in ran.out
    assert "features/ica      ok     crashed  1         tiny     killed" in ran.out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("first", "last"),
        ("board", "second"),
        ("board/features.jsonl", ".interp-bench/store.sqlite3"),
    ],
)
def test_a_folder_a_file_a_store_and_the_last_run_can_be_compared(stored, old, new):
    ran = stored("compare", old, new)
    name = {"first": "run first", "second": "run second", "last": "run second"}
    assert ran.out.startswith(f"{name.get(new, new)} compared with {name.get(old, old)}: 2 worse (")
    assert stored("compare", old).out.startswith(f"run second compared with {name.get(old, old)}: 2 worse (")


def test_the_other_way_round_it_is_better(stored):
    assert "compared with run second: 2 better (" in stored("compare", "second", "first").out


def test_drops_can_be_made_to_fail(stored):
    ran = stored("compare", "first", "--fail", "skill:-5%", "--fail", "mean:-0.04")
    assert ran.status == 1
    failures = [line for line in ran.out.splitlines() if line.startswith("FAILED: ")]
    assert failures == [
        "FAILED: features/dictionary[pca-tiny-0]: skill 0.450 was 0.500 in run first; --fail allows 0.475",
        "FAILED: features/dictionary[pca-tiny-1]: skill 0.450 was 0.500 in run first; --fail allows 0.475",
        "FAILED: mean skill of features/ica is 0.000 and was 0.500; --fail allows 0.460",
        "FAILED: mean skill of features/pca is 0.450 and was 0.500; --fail allows 0.460",
        "FAILED: features/ica fails where it had a skill, in 1 of its trials",
    ]
    lenient = stored("compare", "first", "--fail", "skill:-50%")
    assert (lenient.status, lenient.out.count("FAILED: ")) == (1, 1)
    assert stored("compare", "second", "first", "--fail", "skill:0").status == 0


def test_many_failures_are_counted(run, make_trial, tmp_path):
    for name, skill in (("old", 0.5), ("new", 0.1)):
        jsonl.export([make_trial(seed=seed, skill=skill) for seed in range(20)], tmp_path / name)
    out = run("compare", "old", "new", "--fail", "skill:-5%").out
    assert out.count("FAILED: ") == 13
    assert "FAILED: 8 more trials dropped by more than --fail allows" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: OLD"),
        (["firts"], "compare: there is no run, file or folder 'firts' (did you mean 'first'?)"),
        (["first", "empty"], "holds no *.jsonl"),
        (["first", "--fail", "speed:3"], "--fail is 'speed:3'; give the largest drop"),
        (["first", "--store", "none"], "there is no run, file or folder 'first'"),
    ],
)
def test_mistakes_are_one_line(stored, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    ran = stored("compare", *arguments)
    assert (ran.status, ran.out, ran.err.count("\n")) == (4, "", 1)
    assert message in ran.err
    assert not (tmp_path / "none").exists()
