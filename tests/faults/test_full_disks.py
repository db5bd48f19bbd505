"""Full disks: one line, an exit status of its own, and everything that was stored before is readable."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.board import jsonl
from interp_bench.board.files import write_whole
from interp_bench.cli import main
from interp_bench.errors import StoreError
from interp_bench.harness.store import Store

if TYPE_CHECKING:
    from tests.conftest import MakeTrial
    from tests.plugin.conftest import Project

SELECTION = ("--bench-model", "small", "--bench-seeds", "40")
FULL = "is full; free some space, then give the same command again: all that was stored is kept"


@pytest.fixture
def file_limit() -> Iterator[int]:
    """No file of this process may grow beyond so many bytes; writing more is refused by the system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 400_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_store_that_may_not_grow_keeps_what_it_has(tmp_path: Path, make_trial: MakeTrial) -> None:
    path = tmp_path / "store.sqlite3"
    with Store.open(path) as store:
        store._connection.execute("PRAGMA max_page_count = 20")
        with pytest.raises(StoreError) as caught:
            _fill(store, make_trial)
        kept = len(store.trials())
        assert str(caught.value) == f"the disk that holds the store {path} {FULL}"
        assert [trial.key for trial in store.trials()] == [str(key) for key in range(kept)]
        store._connection.execute("PRAGMA max_page_count = 1000")
        store.put(make_trial(key=str(kept)))
    with Store.open(path) as store:
        assert len(store.trials()) == kept + 1 > 5


def test_a_write_that_the_system_refuses_is_one_line(
    tmp_path: Path, make_trial: MakeTrial, file_limit: int
) -> None:
    path = tmp_path / "store.sqlite3"
    with Store.open(path) as store:
        with pytest.raises(StoreError, match=r"cannot be read or written .*its disk may be full, over a"):
            _fill(store, make_trial)
        kept = len(store.trials())
    with Store.open(path) as store:
        assert [trial.key for trial in store.trials()] == [str(key) for key in range(kept)]
    assert 5 < kept < 199


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_ends_when_nothing_more_can_be_written(project: Project, workers: int) -> None:
    command = [sys.executable, "-m", "pytest", "--bench", *SELECTION, *(["-n", "2"] if workers else [])]
    # In blocks of 512 bytes or of 1024, as the shell has it.
    limited = ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *command]
    run = {"cwd": project.path, "capture_output": True, "text": True, "check": False}
    environment = {name: value for name, value in os.environ.items() if "AUTOLOAD" not in name}
    first = subprocess.run(limited, env=environment, timeout=200, **run)
    assert first.returncode == 74, first.stdout + first.stderr
    (line,) = [line for line in first.stdout.splitlines() if "not stored: guessing/numbers[" in line]
    assert "its disk may be full" in line
    assert line.rstrip(" !").endswith("what the other workers were running" if workers else "]")
    assert "Traceback" not in first.stdout + first.stderr
    stored = project.stored()
    assert 0 < len(stored) < 160
    second = subprocess.run(command, env=environment, timeout=200, **run)
    assert second.returncode == 0, second.stdout + second.stderr
    assert f"{len(stored)} stored already" in second.stdout
    trials = project.stored()
    assert len(trials) == len({trial.key for trial in trials}) == 160


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_and_can_still_be_read(
    project: Project, small_disk: Path, tmp_path: Path
) -> None:
    store = str(small_disk / "store.sqlite3")
    (small_disk / "others").write_bytes(b"x" * (512 * 1024 - 200_000))
    for name in ("conftest.py", "tasks"):
        shutil.move(project.path / name, small_disk / name)
    project.pytester.chdir()
    os.chdir(small_disk)
    result = project.apart("--bench", *SELECTION, "--bench-store", store)
    assert result.ret == 74
    result.stdout.fnmatch_lines([f"* the disk that holds the store * {FULL}; not stored: guessing/numbers*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert main(["export", "--store", store, "--out", str(tmp_path / "out")]) == 0
    kept = len(jsonl.read(tmp_path / "out"))
    (small_disk / "others").unlink()
    again = project.apart("--bench", *SELECTION, "--bench-store", store)
    assert again.ret == 74, "the disk is too small for all of it"
    again.stdout.fnmatch_lines([f"*; {kept} stored already; *"])


def test_an_export_that_does_not_fit_leaves_the_one_before(
    tmp_path: Path, make_trial: MakeTrial, file_limit: int
) -> None:
    jsonl.export([make_trial()], tmp_path)
    before = (tmp_path / "features.jsonl").read_bytes()
    with pytest.raises(StoreError, match=r"cannot write .*: File too large; what was there before is as"):
        jsonl.export([make_trial(seed=seed, key=str(seed)) for seed in range(900)], tmp_path)
    assert (tmp_path / "features.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["features.jsonl"]


def test_a_page_that_does_not_fit_leaves_the_one_before(
    tmp_path: Path, file_limit: int, capsys: pytest.CaptureFixture[str]
) -> None:
    committed = Path(__file__).resolve().parents[2] / "leaderboard" / "trials"
    page = tmp_path / "README.md"
    page.write_text("before", encoding="utf-8")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert main(["leaderboard", "--trials", str(committed), "--out", str(page)]) == 4
    assert "cannot write" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [page]


def test_a_file_written_whole_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    place, link = tmp_path / "place.md", tmp_path / "link.md"
    link.symlink_to(place)
    write_whole(link, b"first")
    assert place.stat().st_mode & 0o777 == 0o666 & ~_mask()
    place.chmod(0o640)
    write_whole(link, b"second")
    assert link.is_symlink()
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"second", 0o640)


def _fill(store: Store, make_trial: MakeTrial) -> None:
    for key in range(200):
        store.put(make_trial(key=str(key)))


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
