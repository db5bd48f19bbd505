"""Time and memory of another process, read from outside of it."""

from __future__ import annotations

import os
import time

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_SCHEDULED = 2
"""The clock of a process that counts what the scheduler gave it, in nanoseconds."""


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process; 0 where it is gone."""
    try:
        # The number of the clock of another process, as clock_getcpuclockid makes it.
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return 0.0


def own_bytes(pid: int) -> int:
    """Return the resident bytes that are a process's own: neither shared memory nor files; 0 where gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as stream:
            fields = stream.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE if len(fields) > 2 else 0


class Gauge:
    """Follows a worker from the start of its call.

    Memory is read every time that `look` is called, so a peak between two looks is missed: a lower bound.

    Args:
        pid: of the worker.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._idle = self._peak = own_bytes(pid)
        self._cpu = cpu_seconds(pid)
        self._wall = time.perf_counter()
        self.seconds = self.cpu_seconds = 0.0

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
        now = own_bytes(self._pid)
        self._peak = max(self._peak, now)
        return now - self._idle

    def stop(self) -> None:
        """Take the time; the last stop counts."""
        self.seconds = self.running
        self.cpu_seconds = cpu_seconds(self._pid) - self._cpu
        self.look()
