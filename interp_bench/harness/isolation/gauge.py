"""Time and memory of another process, read from outside of it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from interp_bench.harness.isolation.lineage import descendants, read_quickly

_PAUSE = 0.05
_SHARE = 20
"""A look at the family is followed by this many times its own time without one."""

_MOST = 1 << 16
_GIVEN = "/memfd:interp-bench-"
_SCHEDULED = 2
"""The clock of a process that counts what the scheduler gave it, in nanoseconds."""


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process; 0 where it is gone."""
    try:
        # The number of the clock of another process, as clock_getcpuclockid makes it.
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return 0.0


def family_bytes(pids: Sequence[int], shared: int = 0) -> int:
    """Return the resident bytes of several processes together, what they have in common counted once.

    What they have in common with yet others counts in part. Processes that cannot be looked into count
    as nothing.

    Args:
        pids: of the processes.
        shared: bytes of shared memory that they were given, and that do not count.
    """
    counted = [_fields(f"/proc/{pid}/smaps_rollup", b"Pss_Anon:", b"Pss_Shmem:") for pid in pids]
    return sum(own for own, _ in counted) + max(0, sum(common for _, common in counted) - shared)


def given_bytes() -> int:
    """Return the bytes of shared memory with the problem in it that are mapped into this process."""
    total = 0
    with suppress(OSError, ValueError), open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if _GIVEN in line:
                first, _, last = line.split()[0].partition("-")
                total += int(last, 16) - int(first, 16)
    return total


class Memory:
    """The resident bytes of a process that are no file's, to be read often.

    The kernel's file about it stays open until `close`: to open it costs twice as much as to read it.

    Args:
        pid: of the process.
        shared: bytes of shared memory that it was given, and that do not count.
    """

    def __init__(self, pid: int, shared: int = 0) -> None:
        self._shared = shared
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(f"/proc/{pid}/status", os.O_RDONLY)

    def read(self) -> int:
        """Return them; 0 where the process is gone."""
        text = b""
        if self._file is not None:
            with suppress(OSError):
                text = os.pread(self._file, _MOST, 0)
        return _field(text, b"RssAnon:") + max(0, _field(text, b"RssShmem:") - self._shared)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Gauge:
    """Follows a worker from the start of its call, with the processes that it starts.

    Memory is read every time that `look` is called, so a peak between two looks is missed: a lower bound.

    Args:
        pid: of the worker, a child of this process.
        shared: bytes of shared memory that it was given, and that do not count.
    """

    def __init__(self, pid: int, shared: int = 0) -> None:
        self._pid = pid
        self._shared = shared
        self._memory = Memory(pid, shared)
        self._idle = self._peak = self._memory.read()
        self._cpu = cpu_seconds(pid)
        self._wall = time.perf_counter()
        self._next = self._wall + _PAUSE
        self._family = 0
        self.seconds = self.cpu_seconds = 0.0
        self.processes = 0

    @property
    def running(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._wall

    @property
    def peak_bytes(self) -> int:
        """Peak memory above that at the start."""
        return max(0, self._peak - self._idle)

    def look(self) -> int:
        """Return the memory above that at the start, now."""
        start = time.perf_counter()
        if start >= self._next:
            self._look_at_family()
            self._next = time.perf_counter() + max(_PAUSE, _SHARE * (time.perf_counter() - start))
        now = max(self._memory.read(), self._family)
        self._peak = max(self._peak, now)
        return now - self._idle

    def stop(self) -> None:
        """Take the time; the last stop counts."""
        self.seconds = self.running
        self.cpu_seconds = cpu_seconds(self._pid) - self._cpu
        self.look()

    def close(self) -> None:
        """Let go of what is held."""
        self._memory.close()

    def _look_at_family(self) -> None:
        started = [*descendants(self._pid), *descendants(os.getpid(), keep=(self._pid,))]
        self.processes = len(started)
        self._family = family_bytes([self._pid, *started], self._shared) if started else 0


def _fields(path: str, first: bytes, second: bytes) -> tuple[int, int]:
    """Return two fields of a file of the kernel that counts in kB, as bytes; 0 where it says nothing."""
    try:
        text = read_quickly(path)
    except OSError:
        return 0, 0
    return _field(text, first), _field(text, second)


def _field(text: bytes, name: bytes) -> int:
    at = text.find(b"\n" + name)
    return int(text[at + 1 + len(name) :].split(None, 1)[0]) * 1024 if at >= 0 else 0
