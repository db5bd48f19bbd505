"""Memory of processes and of what they start, read from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from interp_bench.harness.isolation.gauge import Gauge, Memory, family_bytes, given_bytes
from interp_bench.harness.isolation.lineage import descendants
from interp_bench.harness.isolation.packing import Segment, mapped

if not Path("/proc/self/smaps_rollup").exists():
    pytest.skip("NOT CHECKED: memory is read from /proc", allow_module_level=True)

MIB = 1 << 20
TAKE = """
import os, sys
start, both = int(sys.argv[1]), int(sys.argv[2])
print("idle", flush=True); sys.stdin.readline()
taken = b"x" * start
print("taken", flush=True); sys.stdin.readline()
child = os.fork()
if child == 0:
    more = b"x" * both
    print("child", flush=True)
    sys.stdin.readline()
    os._exit(0)
os.waitpid(child, 0)
"""


def _own_bytes(pid: int, shared: int = 0) -> int:
    with closing(Memory(pid, shared)) as memory:
        return memory.read()


def test_memory_of_a_process_and_its_child() -> None:
    command = [sys.executable, "-c", TAKE, str(64 * MIB), str(32 * MIB)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        # Without a look at the family, in which other children of this process would count.
        gauge, idle = Gauge(process.pid), _own_bytes(process.pid)
        gauge._next = float("inf")
        assert gauge.look() < MIB
        for _ in range(2):
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
        assert 60 * MIB < gauge.look() < 70 * MIB
        assert gauge.peak_bytes < 70 * MIB
        (child,) = descendants(process.pid)
        # The child has the 64 MiB in common with its parent, so they count once.
        assert 85 * MIB < family_bytes([process.pid, child]) - idle < 105 * MIB
        assert _own_bytes(child) > 90 * MIB
        process.stdin.write(b"\n")


def test_shared_memory_counts_unless_it_was_given() -> None:
    before = given_bytes()
    segment = Segment("interp-bench-test", 32 * MIB)
    memory = mapped(segment.descriptor)
    assert given_bytes() - before == 64 * MIB  # mapped twice, by the segment and here
    idle = _own_bytes(os.getpid())
    assert sum(memory[:: os.sysconf("SC_PAGE_SIZE")]) == 0
    assert _own_bytes(os.getpid()) - idle > 30 * MIB
    assert _own_bytes(os.getpid(), 1 << 40) <= idle + MIB
    memory.close()
    segment.close()


def test_processes_that_are_gone_have_no_memory() -> None:
    process = subprocess.Popen(["sleep", "60"])
    with closing(Memory(process.pid)) as memory:
        assert memory.read() > 0
        process.kill()
        process.wait()
        assert memory.read() == 0
    assert _own_bytes(process.pid) == 0
    assert family_bytes([process.pid]) == 0


def test_a_closed_gauge_holds_no_file() -> None:
    before = os.listdir("/proc/self/fd")
    gauge = Gauge(os.getpid())
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    gauge.close()
    assert os.listdir("/proc/self/fd") == before
