"""On a Ray cluster: the same trials as without, workers that die, machines too small, nothing left over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TWO = ("--bench-executor", "ray:2")
VAST = """
models.MODELS = interp_bench_fakes.FakeModels(
    *interp_bench_fakes.MODELS.specs, interp_bench_fakes.FakeSpec(id="vast", memory_gb=1e6)
)
"""


@pytest.fixture(autouse=True)
def _nothing_stays_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    assert _of_ray() == []


def _of_ray() -> list[str]:
    """Return the processes of Ray that were started below this one, or have lost their parent."""
    found = []
    mine = {psutil.Process().pid, 1}
    for process in psutil.process_iter(["ppid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["ppid"] in mine and ("ray::" in line or "gcs_server" in line or "raylet" in line):
            found.append(line)
    return found


def _results(trials: list[Trial]) -> dict[str, tuple[object, ...]]:
    """Return all that may not depend on where a trial runs."""
    by_key = {trial.key: trial for trial in trials}
    assert len(by_key) == len(trials)
    return {
        key: (t.name, t.status, t.reason, t.scores, t.skill, t.floor_scores, t.ceiling_scores, t.certificate)
        for key, t in by_key.items()
    }


def _stored(path: Path) -> list[Trial]:
    with Store.open(path) as store:
        return store.trials()


def test_a_cluster_gives_the_same_trials_and_the_next_run_takes_them_over(project: Project) -> None:
    body = "assert problem.model.spec.id != 'large', 'not this one'\n    print('said', problem.seed)"
    project.technique(body=body)
    arguments = ("--bench-technique", "mine.py", "--bench-technique", "reader", "--bench-seeds", "2")
    gate = ("--bench-min-skill", "mine:2")
    plain = project.apart("--bench", *arguments, *gate, "--bench-store", "plain.sqlite3")
    plain.assert_outcomes(passed=18, failed=6, skipped=8)
    there = project.apart("--bench", *arguments, *gate, *TWO, "--junitxml", "out.xml")
    there.assert_outcomes(passed=18, failed=6, skipped=8)
    there.stdout.fnmatch_lines(["*32 trials on 4 models; 0 stored already; 8 skipped *; 24 to run *"])
    there.stdout.fnmatch_lines(
        ["*32/32?*6 failed*", "32 trials: 22 ok, 8 skipped, 2 failed; 0 from the store"]
    )
    # The place in the technique's file is shown, what it printed too, and nothing of the harness or of Ray.
    there.stdout.fnmatch_lines(["mine.py:*: in mine", "*AssertionError: not this one"])
    there.stdout.fnmatch_lines(["*Captured stdout call*", "said 1"])
    for line in ("*harness*", "*raylet*", "*Ray*"):
        there.stdout.no_fnmatch_line(line)
    for result in (plain, there):
        result.stdout.fnmatch_lines(["FAILED *mine-large-0* - AssertionErro*"])
    assert _results(project.stored()) == _results(_stored(project.path / "plain.sqlite3"))
    assert {trial.provenance.threads for trial in project.stored()} == {1}
    assert (project.path / "out.xml").read_text(encoding="utf-8").count("<testcase") == 32

    second = project.apart("--bench", "--tb=short", "-rs", "--color=no", *arguments, *TWO)
    second.assert_outcomes(passed=22, failed=2, skipped=8)
    second.stdout.fnmatch_lines(["*22 stored already; 8 skipped*; 2 to run*", "*; 22 from the store"])


def test_a_worker_that_dies_and_a_model_too_large_cost_only_their_own_trials(project: Project) -> None:
    project.pytester.makeconftest((project.path / "conftest.py").read_text(encoding="utf-8") + VAST)
    # An actor that keeps posts would compete with the workers; here a socket does.
    running = "[p.info['cmdline'] for p in psutil.process_iter(['cmdline'])]"
    body = f"""import os, psutil
    if problem.seed == 1:
        os._exit(7)
    assert os.nice(0) == {os.nice(0)}
    assert 'Letterbox' not in str({running})"""
    project.technique(body=body)
    arguments = ("--bench-technique", "mine.py", "--bench-technique", "reader", "--bench-technique", "half")
    models = ("--bench-model", "small", "--bench-model", "vast")
    result = project.apart("--bench", *arguments, *models, "--bench-seeds", "2", *TWO)
    result.assert_outcomes(passed=9, failed=1, skipped=10)
    trials = {trial.name.partition("/")[2]: trial for trial in project.stored()}
    assert len(trials) == 20
    crashed = trials.pop("numbers[mine-small-1]")
    assert crashed.status == "crashed"
    assert crashed.reason.startswith("the Ray worker that ran it died: WorkerCrashedError")
    too_large = [trial for trial in trials.values() if trial.model == "vast"]
    assert {trial.status for trial in too_large} == {"skipped"}
    assert too_large[0].reason.startswith(
        "no machine of the Ray cluster can hold it: it needs 1 CPU, 0 GPUs and 1250000.0 GiB of memory, and "
    )
    assert {trial.status for trial in trials.values() if trial.model == "small"} == {"ok"}
    result.stdout.no_fnmatch_line("*raylet*")


def test_an_interrupt_keeps_what_came_back_and_ends_the_cluster(project: Project) -> None:
    project.technique(body="import os, time\n    open('begun', 'w').close()\n    time.sleep(600)")
    project.monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    arguments = (
        "--bench-technique",
        "mine.py",
        "--bench-model",
        "small",
        "--bench-seeds",
        "1",
        "--bench-isolate=none",
    )
    command = [sys.executable, "-m", "pytest", "--bench", *arguments, "--bench-executor", "ray:1"]
    with (project.path / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=project.path, stdout=said, stderr=said)
    begun, waited = project.path / "begun", psutil.Process(process.pid)
    while process.poll() is None and not (begun.exists() and len(project.stored()) == 2):
        time.sleep(0.2)
    below = waited.children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
    gone, alive = psutil.wait_procs(below, timeout=20)
    assert len(gone) >= 3
    assert alive == []
    assert {trial.name.partition("/")[2] for trial in project.stored()} == {
        "numbers[ceiling-small-0]", "numbers[random-small-0]"
    }  # fmt: skip


@pytest.fixture
def head(project: Project) -> Iterator[int]:
    """A cluster of the user's own on this machine, with its secret; its port for clients."""
    project.monkeypatch.setenv("RAY_AUTH_MODE", "token")
    project.monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    project.monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        ports = first.getsockname()[1], second.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus", "2",
        "--include-dashboard", "false", "--port", str(ports[0]), "--ray-client-server-port", str(ports[1]),
        "--node-ip-address", "127.0.0.1", "--disable-usage-stats",
    ]  # fmt: skip
    with (project.path / "head.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=project.path, stdout=said, stderr=said)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", ports[1]), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield ports[1]
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait(timeout=30)
        for child in psutil.wait_procs(below, timeout=10)[1]:
            child.kill()


def test_a_running_cluster_is_joined_and_left_running(project: Project, head: int) -> None:
    project.technique()
    arguments = ("--bench-technique", "mine.py", "--bench-model", "small", "--bench-seeds", "2")
    address = f"ray://127.0.0.1:{head}"
    first = project.apart("--bench", *arguments, "--bench-executor", address)
    first.assert_outcomes(passed=6)
    assert {trial.provenance.threads for trial in project.stored()} == {1}
    project.apart("--bench", *arguments, "--bench-fresh", "--bench-executor", "ray:auto").assert_outcomes(
        passed=6
    )
    project.monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    refused = project.apart("--bench", *arguments, "--bench-fresh", "--bench-executor", address)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines([f"ERROR: --bench-executor: cannot connect to the Ray cluster {address}: *"])
    assert len([line for line in refused.stderr.lines if line.strip()]) == 1
    assert os.environ["RAY_AUTH_TOKEN"] == "f" * 64
