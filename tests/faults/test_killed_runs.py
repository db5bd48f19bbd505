"""Runs and workers that are killed, and runs beside one another: nothing is lost, nobody stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from interp_bench.harness.store import Store

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

TECHNIQUES = ("--bench-technique", "mine.py", "--bench-technique", "reader")
SMALL = ("--bench-model", "small", *TECHNIQUES)
MARK = "INTERP_BENCH_TEST_MARK"
BEGUN = "import ctypes, pathlib, time\n    pathlib.Path(f'begun-{problem.seed}').touch()\n    "
ENDLESS = BEGUN + "time.sleep(600)"
# Compiled code that keeps the interpreter, so that no thread of the process sees its parent end.
DEAF = BEGUN + ("ctypes.PyDLL(None).sleep(600)" if sys.platform == "linux" else "time.sleep(600)")
DIE_AFTER_THE_REPORT = """
import os, signal, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item):
    if item.name == "numbers[mine-small-0]" and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.slow


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """Start ``pytest --bench`` in a process group of its own."""
    environment = {name: value for name, value in os.environ.items() if "AUTOLOAD" not in name}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--bench", "--bench-isolate=none", "-v", *arguments],
        cwd=project.path,
        env=environment | {MARK: str(project.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes(project: Project) -> list[psutil.Process]:
    """Return every process that a run in this project started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(project.path) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until_begun(project: Project, count: int, run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(list(project.path.glob("begun-*"))) < count:
        assert run.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline, "no technique was begun"
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [0, 2])
def test_nobody_stays_behind_a_killed_run_and_the_next_goes_on(project: Project, workers: int) -> None:
    project.technique(body=DEAF)
    seeds = ("--bench-seeds", "2")
    run = start(project, *SMALL, *seeds, *(("-n", "2") if workers else ()))
    try:
        wait_until_begun(project, 2 if workers else 1, run)
        before = project.stored()
        assert len(processes(project)) >= workers + 1
        run.kill()
        run.wait()
        deadline = time.monotonic() + 20
        while (left := processes(project)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left == []
    finally:
        for process in processes(project):
            process.kill()
    assert {trial.technique for trial in before} == {"ceiling", "random"}
    assert project.stored() == before
    project.technique()
    result = project.apart("--bench", *SMALL, *seeds)
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines([f"*8 trials on 1 model; {len(before)} stored already; *"])
    trials = project.stored()
    assert trials[: len(before)] == before
    assert len(trials) == len({trial.key for trial in trials}) == 8


def test_a_worker_that_dies_after_its_report_costs_no_trial(project: Project) -> None:
    project.technique()
    conftest = (project.path / "conftest.py").read_text(encoding="utf-8")
    project.write("conftest.py", conftest + DIE_AFTER_THE_REPORT)
    result = project.apart("--bench", *SMALL, "--bench-seeds", "1", "-n", "1")
    assert (project.path / "died").exists()
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running '*numbers?mine-small-0?'*"])
    assert project.latest()["numbers[mine-small-0]"].status == "ok"
    assert len(project.stored()) == 4


def test_a_technique_that_ends_its_worker_is_tried_once_and_the_others_all_the_same(project: Project) -> None:
    body = "import os\n    with open('tried', 'a') as file:\n        file.write(f'{problem.seed} ')\n    "
    project.technique(body=body + "os._exit(7)")
    result = project.apart("--bench", *SMALL, "--bench-seeds", "3", "-n", "1")
    result.assert_outcomes(passed=9, failed=3)
    assert sorted((project.path / "tried").read_text(encoding="utf-8").split()) == ["0", "1", "2"]
    trials = project.stored()
    assert len(trials) == 12
    assert {trial.status for trial in trials if trial.technique == "mine"} == {"crashed"}
    assert {trial.status for trial in trials if trial.technique != "mine"} == {"ok"}


def test_two_runs_at_once_both_end_and_own_their_trials(project: Project) -> None:
    project.technique()
    runs = [start(project, *SMALL, "--bench-seeds", "12") for _ in range(2)]
    assert [run.wait(timeout=200) for run in runs] == [0, 0]
    with Store.open(project.path / ".interp-bench/store.sqlite3") as store:
        first, second = store.runs()
        trials = store.trials()
        assert len(store.trials(first)) == len(store.trials(second)) == len(store.latest()) == 48
    assert len({(trial.key, trial.run_id) for trial in trials}) == len(trials) <= 96
    by_key: dict[str, set[object]] = {}
    for trial in trials:
        by_key.setdefault(trial.key, set()).add((trial.status, trial.skill))
    assert {len(found) for found in by_key.values()} == {1}


def test_an_interrupted_run_keeps_what_it_stored(project: Project) -> None:
    project.technique(body=ENDLESS)
    run = start(project, *SMALL, "--bench-seeds", "1")
    wait_until_begun(project, 1, run)
    os.kill(run.pid, signal.SIGINT)
    assert run.wait(timeout=60) == 2
    assert [trial.technique for trial in project.stored()][:2] == ["ceiling", "random"]
