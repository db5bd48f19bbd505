"""Ending, slowing down and outliving the processes of a run, and leaving something to later ones."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.attacks.conftest import HALF, WORKERS, Tells, needs_wall, skill_without
from tests.isolated.lab import Lab, gone

SHARED = Path("/dev/shm")


@pytest.fixture
def other() -> Iterator[psutil.Process]:
    """A process of the same user."""
    process = subprocess.Popen(["sleep", "600"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


@pytest.fixture
def note() -> Iterator[Path]:
    """A file in the one place beside its own that a worker can write to."""
    if not SHARED.is_dir():
        pytest.skip("no /dev/shm")
    path = SHARED / f"interp-bench-test-{uuid.uuid4().hex}"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("number", ["SIGSTOP", "SIGKILL"])
def test_signals_reach_neither_keeper_nor_nursery(
    lab: Lab, tells: Tells, other: psutil.Process, number: str
) -> None:
    needs_wall("signals")
    attack = "tell([tried(lambda: os.kill(pid, signal.{})) for pid in {}])"
    runner = lab.runner()
    assert tells(attack.format(number, "chain()[:2]"), runner=runner) == ["PermissionError"] * 2
    assert tells(attack.format("SIGTERM", f"[{other.pid}]"), runner=runner) == ["PermissionError"]
    assert other.is_running()
    # Whom nothing keeps back reaches it.
    assert tells(attack.format(number, f"[{other.pid}]"), "none") == ["done"]
    assert runner.run(lab.cell("reader")).trial.skill == 1.0


def test_the_harness_cannot_be_signalled(tells: Tells) -> None:
    """Asked for with signal 0, which does no harm should the wall be missing."""
    needs_wall("signals")
    assert tells("tell([tried(lambda: os.kill(pid, 0)) for pid in chain()[:3]])") == ["PermissionError"] * 3


SLOWDOWNS = """
import resource
ways = {
    "nice": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "cores": lambda pid: os.sched_setaffinity(pid, list(os.sched_getaffinity(pid))[:1]),
    "policy": lambda pid: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),
    "files": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64)),
}
tell({name: sorted({tried(lambda: way(pid)) for pid in PIDS}) for name, way in ways.items()})
"""


def test_others_cannot_be_slowed_down(tells: Tells, other: psutil.Process) -> None:
    """Whoever is forked from a slowed keeper would be slow as well, and take longer on the board."""
    needs_wall("network")
    beside = SLOWDOWNS.replace("PIDS", f"[{other.pid}]")
    for body in (beside, SLOWDOWNS.replace("PIDS", "chain()[:2]")):
        found = tells(body)
        assert {outcome for outcomes in found.values() for outcome in outcomes} == {"PermissionError"}, found
    assert other.nice() == psutil.Process().nice()
    assert set(tells(beside, "none")) == set(found)
    assert other.nice() == 19
    own = "tell([tried(lambda: os.nice(1)), tried(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))])"
    assert tells(own) == ["done", "done"]


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for stream in (0, 1, 2):
            os.close(stream)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(NOTE, "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists(NOTE) or not open(NOTE).read():
    time.sleep(0.01)
return Guess(numbers=torch.full((4,), 0.5))
"""


@pytest.mark.parametrize("isolate", WORKERS)
def test_a_daemon_ends_with_the_trial_and_fails_it(lab: Lab, note: Path, isolate: str) -> None:
    trial = lab.run(DAEMON.replace("NOTE", repr(str(note))), isolate=isolate).trial
    assert trial.status == "failed"
    assert trial.reason.startswith("ContractError: left "), trial.reason
    assert gone(int(note.read_text(encoding="utf-8")))


THREAD = """
import _thread
def go_on():
    while True:
        time.sleep(0.005)
START
open(NOTE, "w").write(str(os.getpid()))
return Guess(numbers=torch.full((4,), 0.5))
"""


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("threading.Thread(target=go_on).start()", "failed"),
        # One that python keeps no list of.
        ("_thread.start_new_thread(go_on, ())", "ok"),
    ],
)
def test_a_thread_does_not_go_on_while_its_answer_is_graded(
    lab: Lab, note: Path, start: str, status: str
) -> None:
    trial = lab.run(THREAD.replace("NOTE", repr(str(note))).replace("START", start)).trial
    assert trial.status == status, trial.reason
    assert gone(int(note.read_text(encoding="utf-8")))


SPREAD = """
import builtins, importlib.abc
os.environ["LD_PRELOAD"] = "/opt/cheat.so"
os.environ["PYTHONPATH"] = "/opt/cheat"
sys.path.insert(0, "/opt/cheat")
builtins.cheated = True
class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        return None
sys.meta_path.insert(0, Hook())
threading.settrace(lambda *_: None)
sys.modules["cheated"] = sys
gc.callbacks.append(lambda *_: None)
"""
TRACES = """
import builtins
tell([os.environ.get("LD_PRELOAD"), os.environ.get("PYTHONPATH"), "/opt/cheat" in sys.path,
      hasattr(builtins, "cheated"), [type(f).__name__ for f in sys.meta_path if type(f).__name__ == "Hook"],
      "cheated" in sys.modules, len(gc.callbacks)])
"""


@pytest.mark.parametrize("isolate", WORKERS)
def test_nothing_is_left_to_the_worker_of_another(lab: Lab, tells: Tells, isolate: str) -> None:
    runner = lab.runner(isolate)
    clean = tells(TRACES, runner=runner)
    assert lab.run(SPREAD + HALF, runner=runner).trial.skill == skill_without(lab)
    assert tells(TRACES, runner=runner) == clean
    assert clean[2:6] == [False, False, [], False]
