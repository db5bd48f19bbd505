"""Processes with and without walls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interp_bench.harness.isolation import sandbox

DRIVER = """
import json, os, sys
from pathlib import Path
from interp_bench.harness.isolation import sandbox
wish = json.loads(sys.argv[1])
walls = sandbox.prepare(
    hidden=map(Path, wish["hidden"]),
    writable=map(Path, wish["writable"]),
    limits=sandbox.ProcessLimits(**wish["limits"]),
)
exec(wish["late"])
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
def tried(action):
    try:
        return action()
    except BaseException as error:
        return type(error).__name__
standing = sandbox.raise_walls(walls) if wish["walls"] else ()
assert not wish["walls"] or wish["wall"] in standing, standing
exec(wish["body"])
sys.stdout.flush()
os._exit(0)
"""

Walled = Callable[..., Any]


@pytest.fixture
def walled() -> Walled:
    """Run python lines in a child behind walls, of which one must stand; returns what they say.

    The lines call ``say(value)``, and ``tried(action)`` for the name of the error that an action raises.
    """

    def run(
        wall: str,
        body: str,
        *,
        hidden: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        walls: bool = True,
        late: str = "",
        **limits: int,
    ) -> list[Any]:
        lack = {offer.name: offer.lack for offer in sandbox.offered()}[wall]
        if lack:
            pytest.skip(f"no wall {wall!r} on this machine: {lack}")
        wish = {
            "wall": wall,
            "body": body,
            "hidden": [str(path) for path in hidden],
            "writable": [str(path) for path in writable],
            "walls": walls,
            "late": late,
            "limits": limits,
        }
        lines = "import json\ndef say(value): print(json.dumps(value), flush=True)\n"
        wish["body"] = lines + body
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, json.dumps(wish)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user that is no child of the walled one."""
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "TOLD_TO_NOBODY": "1"})
    yield process
    process.kill()
    process.wait()
