"""Techniques that end their own process, or try to end others."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from interp_bench.harness.isolation.sandbox import offered
from tests.isolated.lab import Lab

FINE = "return Guess(numbers=torch.full((4,), 0.5))"
OWN = "os.kill(os.getpid(), signal.{name})\ntime.sleep(60)"
BEFORE = "ended its process with exit status {} before it answered"

ENDINGS = {
    "invalid memory": ("ctypes.string_at(0)", r"its process was ended by SIGSEGV \(invalid memory access\)"),
    "abort": ("os.abort()", "its process was ended by SIGABRT"),
    "exit": ("os._exit(0)", BEFORE.format(0)),
    "exit with a status": ("os._exit(3)", BEFORE.format(3)),
    "exit of the C library": ("ctypes.CDLL(None).exit(7)", BEFORE.format(7)),
    "another program": ("os.execvp('true', ['true'])", BEFORE.format(0)),
    "termination": (OWN.format(name="SIGTERM"), "its process was ended by SIGTERM"),
    "kill": (OWN.format(name="SIGKILL"), r"its process was ended by SIGKILL \(somebody, .*\)"),
    "alarm": ("signal.alarm(1)\ntime.sleep(60)", "its process was ended by SIGALRM"),
    "a signal of its group": (
        "os.killpg(0, signal.SIGUSR1)\ntime.sleep(60)",
        "its process was ended by SIGUSR1",
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_process_that_ends_is_a_crash(lab: Lab, name: str) -> None:
    body, reason = ENDINGS[name]
    lab.check(body, "crashed", reason)


def test_an_interrupt_of_itself_is_an_error(lab: Lab) -> None:
    lab.check(OWN.format(name="SIGINT"), "failed", "KeyboardInterrupt")


def test_a_process_that_stops_itself_is_late(lab: Lab) -> None:
    reason = r"took longer than 1 s \(--bench-timeout\)"
    lab.check(OWN.format(name="SIGSTOP"), "timed_out", reason, seconds=1.0)


@pytest.mark.parametrize("whom", ["os.getppid()", str(os.getpid())], ids=["keeper", "harness"])
def test_others_cannot_be_ended(lab: Lab, whom: str) -> None:
    if any(offer.name == "signals" and offer.lack for offer in offered()):
        pytest.skip("NOT CHECKED: no wall against signals on this machine")
    body = f"os.kill({whom}, signal.SIGTERM)\n{FINE}"
    lab.check(body, "failed", r"PermissionError: \[Errno 1\] Operation not permitted")


@contextmanager
def _when_read(pipe: Path, action: Callable[[], None]) -> Iterator[None]:
    """Do something as soon as somebody opens a named pipe for reading, while the block runs."""

    def wait() -> None:
        with pipe.open("w"):
            action()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_a_keeper_that_is_killed_is_a_crash_and_the_next_trial_is_ok(lab: Lab, tmp_path: Path) -> None:
    """As where a kernel has no wall against signals: somebody kills the keeper during a call."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    name = lab.write(f"open({str(begun)!r}).read()\ntime.sleep(60)")
    runner = lab.runner()
    before = runner.run(lab.cell("reader")).trial
    keeper = lab.keeper()
    workers = keeper.children()
    with _when_read(begun, lambda: keeper.send_signal(signal.SIGKILL)):
        outcome = runner.run(lab.cell(name))
    assert outcome.trial.status == "crashed"
    assert outcome.trial.reason == "the process that watches workers came to its end during the call"
    after = runner.run(lab.cell("reader")).trial
    assert (after.status, after.scores) == ("ok", before.scores)
    assert not any(worker.is_running() for worker in workers)


def test_a_keeper_that_is_killed_between_two_trials_is_nobodys_fault(lab: Lab) -> None:
    runner = lab.runner()
    before = runner.run(lab.cell("reader")).trial
    keeper = lab.keeper()
    keeper.kill()
    psutil.wait_procs([keeper], timeout=10)
    after = runner.run(lab.cell("reader")).trial
    assert (after.status, after.scores) == ("ok", before.scores)


def test_a_nursery_that_is_killed_is_started_again(lab: Lab) -> None:
    runner = lab.runner()
    before = runner.run(lab.cell("reader")).trial
    assert lab.nursery._process is not None
    nursery = psutil.Process(lab.nursery._process.pid)
    below = nursery.children(recursive=True)
    folder = Path(lab.nursery._folder)
    assert folder.is_dir()
    nursery.kill()
    psutil.wait_procs(below, timeout=10)
    after = runner.run(lab.cell("reader")).trial
    assert (after.status, after.scores) == ("ok", before.scores)
    assert lab.nursery._process.pid != nursery.pid
    assert not folder.exists()
    assert not any(process.is_running() for process in below)
