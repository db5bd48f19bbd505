"""Looking for the truth, and for what others answered, in the memory of the process and beyond it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from interp_bench.tracks.base import Planted
from tests.attacks.conftest import HALF, WORKERS, Tells, masked, needs_wall, skill_without
from tests.isolated.lab import Lab

GARBAGE = (
    """
gc.unfreeze()
for thing in gc.get_objects():
    if type(thing).__name__ == "GuessTruth":
        return Guess(numbers=thing.numbers.clone())
"""
    + HALF
)

FRAMES = (
    """
frame = sys._getframe()
while frame is not None:
    for thing in frame.f_locals.values():
        planted = getattr(thing, "planted", thing)
        truth = getattr(planted, "truth", None)
        if truth is not None:
            return Guess(numbers=truth.numbers.clone())
    frame = frame.f_back
"""
    + HALF
)

THREADS = (
    """
for frame in sys._current_frames().values():
    while frame is not None:
        for thing in gc.get_referents(*frame.f_locals.values()):
            truth = getattr(getattr(thing, "planted", thing), "truth", None)
            if truth is not None:
                return Guess(numbers=truth.numbers.clone())
        frame = frame.f_back
"""
    + HALF
)


@pytest.mark.parametrize("body", [GARBAGE, FRAMES, THREADS], ids=["garbage", "frames", "threads"])
def test_the_truth_is_not_in_reach(lab: Lab, body: str) -> None:
    name = lab.write(body)
    skills = {how: lab.runner(how).run(lab.cell(name)).trial.skill for how in ("none", *WORKERS)}
    without = skill_without(lab)
    assert without < 0.9
    assert skills == {"none": 1.0, "fresh": without, "warm": without}


KINDS = """
kinds = {"Trial", "Store", "Certificate", "Planted", "Stage", "Runner", "Cell", "Grid", "GuessTruth"}
gc.unfreeze()
found = {type(thing) for thing in gc.get_objects()}
tell(sorted({kind.__name__ for kind in found if str(kind.__module__).startswith("interp_bench")} & kinds))
"""


def test_no_object_of_the_harness_is_in_a_worker(tells: Tells) -> None:
    assert {"Cell", "Certificate", "GuessTruth", "Planted", "Runner", "Stage"} <= set(tells(KINDS, "none"))
    assert [tells(KINDS, how) for how in WORKERS] == [[], []]


@pytest.fixture
def apart(lab: Lab) -> torch.Tensor:
    """Let the truth of the pretended task be numbers that its model does not hold; returns them."""
    numbers = torch.tensor([0.12345678, 0.87654321, 0.31415927, 0.27182818])
    task = lab.fakes.CATALOGUE.tasks["guessing/numbers"]

    def plant(model: object, seed: int) -> Planted[object, object]:
        planted = lab.fakes.plant(model, seed)
        return replace(planted, truth=lab.fakes.GuessTruth(numbers=numbers.clone()))

    lab.fakes.CATALOGUE.tasks["guessing/numbers"] = replace(task, function=plant)
    return numbers


@pytest.mark.parametrize("isolate", WORKERS)
def test_no_byte_of_truth_and_answers_is_anywhere_in_a_workers_memory(
    lab: Lab, tells: Tells, apart: torch.Tensor, isolate: str
) -> None:
    said = torch.tensor([0.11223344, 0.55667788, 0.99001122, 0.33445566])
    answering = lab.write(f"return Guess(numbers=torch.tensor({said.tolist()}))")
    needles = masked({"truth": apart.numpy().tobytes(), "answer": said.numpy().tobytes()})
    known = masked({"its own": b"a text that this very technique holds"})
    body = f"""
held = b"a text that this " + b"very technique holds"
tell([search({known}), search({needles})])
"""
    runner = lab.runner(isolate)
    assert [runner.run(lab.cell(answering)).trial.status for _ in range(3)] == ["ok"] * 3
    assert tells(body, runner=runner) == [["its own"], []]
    # It finds both where they are: in this process the truth is planted and the answers were graded.
    assert tells(body, "none")[1] == ["answer", "truth"]


REACH = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def copy(pid):
    buffer = ctypes.create_string_buffer(64)
    place = next(int(line.split("-")[0], 16) for line in open("/proc/self/maps") if "[heap]" in line)
    ours, theirs = Vector(ctypes.addressof(buffer), 64), Vector(place, 64)
    if libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) < 0:
        code = ctypes.get_errno()
        if code != 14:  # the address is not mapped over there, so reading was allowed
            raise OSError(code, "no")

ways = {
    "memory": lambda pid: open(f"/proc/{pid}/mem", "rb").close(),
    "environment": lambda pid: open(f"/proc/{pid}/environ", "rb").read(),
    "maps": lambda pid: open(f"/proc/{pid}/maps", "rb").read(),
    "descriptors": lambda pid: os.readlink(f"/proc/{pid}/fd/0"),
    "folder": lambda pid: os.listdir(f"/proc/{pid}/cwd"),
    "root": lambda pid: os.listdir(f"/proc/{pid}/root"),
    "copy": copy,
}
pids = chain()[:3] if PIDS is None else PIDS
tell({name: sorted({tried(lambda: way(pid)) for pid in pids}) for name, way in ways.items()})
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def _outcomes(found: dict[str, list[str]]) -> set[str]:
    return {outcome for outcomes in found.values() for outcome in outcomes}


def test_no_process_above_or_beside_can_be_looked_into(tells: Tells, other: subprocess.Popen[bytes]) -> None:
    needs_wall("files")
    needs_wall("network")
    beside = REACH.replace("PIDS", f"[{other.pid}]")
    assert _outcomes(tells(beside, "none")) == {"done"}
    for body in (beside, REACH.replace("PIDS", "None")):
        found = tells(body)
        assert _outcomes(found) <= {"PermissionError", "OSError"}, found


def test_what_processes_are_called_with_tells_nothing(tells: Tells) -> None:
    """Command lines can be read by anybody; those of isolation hold a path of modules and numbers."""
    lines = tells("""
texts = [open(f"/proc/{pid}/cmdline", "rb").read().decode() for pid in [os.getpid(), *chain()[:2]]]
tell([text.split("\\0")[1] + " ".join(text.split("\\0")[3:]) for text in texts])
""")
    assert lines == ["-c"] * 3


SEALED = """
import fcntl, mmap
memfds = []
for line in open("/proc/self/maps"):
    if "memfd:interp-bench" in line:
        memfds.append(line.split()[0])
open_ones = [n for n in os.listdir("/proc/self/fd") if "memfd" in tried_link(n)]
def write(span):
    handle = os.open(f"/proc/self/map_files/{span}", os.O_RDWR)
    shared = mmap.mmap(handle, 0)
    shared[:] = bytes(len(shared))
def remove(span):
    start, end = (int(part, 16) for part in span.split("-"))
    if ctypes.CDLL(None, use_errno=True).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 9):
        raise OSError("madvise")
tell([len(memfds), open_ones, [tried(lambda: way(span)) for span in memfds for way in (write, remove)]])
"""


def test_shared_weights_cannot_be_written_to(lab: Lab, tells: Tells) -> None:
    """Or the harness would grade, and others would be asked about, other weights."""
    head = """
def tried_link(name):
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""
"""
    runner = lab.runner()
    before = runner.run(lab.cell("reader")).trial.scores
    memfds, descriptors, outcomes = tells(head.strip() + "\n" + SEALED, runner=runner)
    assert memfds >= 2
    assert descriptors == []
    assert "done" not in outcomes
    assert runner.run(lab.cell("reader")).trial.scores == before == {"closeness": 1.0, "error": 0.0}
