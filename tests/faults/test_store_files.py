"""Files at the place of a store: refused with a way out and left alone, or read as they are."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.cli import main
from interp_bench.errors import StoreError
from interp_bench.harness import store_faults
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial

if TYPE_CHECKING:
    from tests.conftest import MakeTrial
    from tests.plugin.conftest import Project

SMALL = ("--bench-model", "small", "--bench-seeds", "1")
WAY_OUT = "move it away, or give another file with --bench-store"
KILLED_WRITER = """
import os, signal, sys
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial
store = Store.open(sys.argv[1])
for line in sys.stdin:
    store.put(Trial.model_validate_json(line))
store._connection.execute("BEGIN IMMEDIATE")
store._connection.execute("DELETE FROM uses")
store._connection.execute("DELETE FROM trials")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def trials(make_trial: MakeTrial) -> list[Trial]:
    return [make_trial(seed=seed, key=str(seed)) for seed in range(30)]


@pytest.fixture
def whole(tmp_path: Path, trials: list[Trial]) -> Path:
    """A closed store of thirty trials."""
    path = tmp_path / "whole.sqlite3"
    with Store.open(path) as store:
        for trial in trials:
            store.put(trial)
    return path


@pytest.mark.parametrize("kept", [1, 50, 100, 511, 4096, 4097, 20_000, -4096, -1000, -1])
def test_a_file_that_was_cut_off_is_refused_and_left_alone(whole: Path, kept: int) -> None:
    content = whole.read_bytes()[:kept]
    whole.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store.open(whole)
    assert str(caught.value).endswith(WAY_OUT)
    assert "\n" not in str(caught.value)
    assert whole.read_bytes() == content


def test_a_file_cut_off_within_a_page_says_so(whole: Path) -> None:
    whole.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(StoreError, match=r"is damaged \(it ends within a page: a part was cut off\); move"):
        Store.open(whole)


def test_a_file_of_no_bytes_is_a_store_that_was_not_begun(tmp_path: Path, make_trial: MakeTrial) -> None:
    path = tmp_path / "store.sqlite3"
    path.touch()
    with Store.open(path) as store:
        store.put(make_trial())
        assert store.trials() == [make_trial()]


def test_what_a_killed_process_had_stored_is_there_and_nothing_of_what_it_was_storing(
    tmp_path: Path, trials: list[Trial]
) -> None:
    path = tmp_path / "store.sqlite3"
    lines = "".join(trial.model_dump_json() + "\n" for trial in trials)
    command = [sys.executable, "-c", KILLED_WRITER, str(path)]
    assert subprocess.run(command, input=lines, text=True, check=False).returncode == -9
    assert path.with_name("store.sqlite3-wal").stat().st_size > 0
    with Store.open(path) as store:
        assert store.trials() == trials
        assert [trial.key for trial in store.latest()] == [trial.key for trial in store.trials("run-1")]
    assert not path.with_name("store.sqlite3-wal").exists()


def test_a_torn_log_gives_what_lies_before_the_tear(tmp_path: Path, trials: list[Trial]) -> None:
    path, copy = tmp_path / "store.sqlite3", tmp_path / "copy.sqlite3"
    with Store.open(path) as store:
        for trial in trials[:20]:
            store.put(trial)
        shutil.copy(path, copy)
        log = path.with_name("store.sqlite3-wal").read_bytes()
    copy.with_name("copy.sqlite3-wal").write_bytes(log[:-5000])
    with Store.open(copy) as store:
        found = store.trials()
    assert found == trials[: len(found)]
    assert 15 <= len(found) < 20


@pytest.mark.parametrize("command", ["run", "export"])
def test_a_folder_is_refused(project: Project, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    (project.path / "kept").mkdir()
    if command == "run":
        result = project.bench(*SMALL, "--bench-store", "kept")
        assert result.ret == 4
        result.stderr.fnmatch_lines(["ERROR: the store */kept is a folder; give a file with --bench-store"])
    else:
        assert main(["export", "--store", "kept"]) == 4
        assert "there is no store kept" in capsys.readouterr().err


def test_a_read_only_store_is_refused_by_a_run_and_read_by_an_export(
    project: Project, trials: list[Trial], read_only: Callable[[Path], None]
) -> None:
    folder = project.path / "archive"
    folder.mkdir()
    with Store.open(folder / "store.sqlite3") as store:
        for trial in trials:
            store.put(trial)
    read_only(folder)
    result = project.bench(*SMALL, "--bench-store", "archive/store.sqlite3")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: the store * is read-only; make the file and its folder writable, or give another file *"]
    )
    result.stdout.no_fnmatch_line("*passed*")
    assert main(["export", "--store", str(folder / "store.sqlite3"), "--out", str(project.path / "out")]) == 0
    text = (project.path / "out" / "features.jsonl").read_text("utf-8")
    assert text.count("\n") == len(trials)
    assert [path.name for path in folder.iterdir()] == ["store.sqlite3"]


def test_another_process_that_keeps_the_store_locked_is_named(
    whole: Path, trials: list[Trial], make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_faults, "PATIENCE", 0.1)
    other = sqlite3.connect(whole, isolation_level=None)
    with Store.open(whole) as store:
        other.execute("BEGIN IMMEDIATE")
        for write in (lambda: store.put(make_trial(key="new")), store.require_writable):
            with pytest.raises(StoreError, match=r"has been locked by another process .* wait until that"):
                write()
        assert store.trials() == trials
        other.execute("ROLLBACK")
        store.put(make_trial(key="new"))
        assert len(store.trials()) == len(trials) + 1
    other.close()


def test_a_row_that_is_no_trial_ends_a_run_before_it_computes(project: Project, whole: Path) -> None:
    shutil.copy(whole, project.path / "store.sqlite3")
    with sqlite3.connect(project.path / "store.sqlite3") as hand:
        hand.execute("UPDATE trials SET json = '{}' WHERE id = 7")
    hand.close()
    result = project.bench(*SMALL, "--bench-store", "store.sqlite3")
    assert result.ret == 74
    result.stdout.fnmatch_lines([f"*holds a trial that cannot be read (*); {WAY_OUT} !*"])
    result.stdout.no_fnmatch_line("*passed*")
    result.stdout.no_fnmatch_line("*Traceback*")
