"""A lab for techniques that cheat, and the tools of a cheat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interp_bench.harness.isolation.sandbox import offered
from tests.isolated.lab import Lab
from tests.plugin.conftest import Project as Project
from tests.plugin.conftest import project as project

WORKERS = ("fresh", "warm")

SEARCH = '''
import json, os
import numpy as np

def _regions():
    for line in open("/proc/self/maps"):
        span, access, _, _, _, *name = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        file = name and name[0].startswith("/") and not name[0].startswith(("/memfd:", "/dev/shm"))
        if access[0] == "r" and not file and name[:1] not in (["[vvar]"], ["[vsyscall]"]):
            yield start, end

def search(masked):
    """Name the needles, given with every bit turned, that are anywhere in the memory of this process.

    What was read is turned as well before it is compared, so that the search never finds itself.
    """
    found, step = set(), 1 << 22
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for start, end in _regions():
            for place in range(start, end, step):
                try:
                    memory.seek(place)
                    part = memory.read(min(step + 64, end - place))
                except (OSError, OverflowError, ValueError):
                    break
                turned = np.bitwise_not(np.frombuffer(part, np.uint8)).tobytes()
                found |= {name for name, needle in masked.items() if bytes.fromhex(needle) in turned}
    return sorted(found)

def chain():
    """Return the processes above this one, nearest first."""
    found, pid = [], os.getppid()
    while pid > 1:
        found.append(pid)
        pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    return found

def tried(action):
    """Return the name of the error that an action raises, or 'done'."""
    try:
        action()
    except BaseException as error:
        return type(error).__name__
    return "done"
'''
"""Head of a file that looks through all of its own memory."""

HALF = "return Guess(numbers=torch.full((4,), 0.5))"

Tells = Callable[..., Any]


@pytest.fixture
def lab(fakes: ModuleType, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(fakes, tmp_path)
    yield made
    made.close()


@pytest.fixture
def tells(lab: Lab) -> Tells:
    """Run lines that end with ``tell(value)``; returns the value, from wherever they ran."""

    def run(body: str, isolate: str = "fresh", *, runner: Any = None, **changes: Any) -> Any:
        runner = runner or lab.runner(isolate, **changes)
        head = SEARCH + "def tell(value): raise LookupError(json.dumps(value))\n"
        trial = lab.run(body, runner=runner, head=head).trial
        kind, _, text = trial.reason.partition(": ")
        assert kind == "LookupError", trial.reason
        return json.loads(text)

    return run


def needs_wall(name: str) -> None:
    """Skip where the kernel has no such wall."""
    lack = {offer.name: offer.lack for offer in offered()}[name]
    if lack:
        pytest.skip(f"no wall {name!r} on this machine: {lack}")


def masked(needles: Mapping[str, bytes]) -> dict[str, str]:
    """Return needles as ``search`` takes them."""
    return {name: bytes(255 - byte for byte in needle).hex() for name, needle in needles.items()}


def skill_without(lab: Lab) -> float:
    """Return the skill of answering one half."""
    skill = lab.runner("none").run(lab.cell("half")).trial.skill
    assert skill is not None
    return float(skill)
