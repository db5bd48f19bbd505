"""Whether other processes of the same user may look into the memory of this one."""

from __future__ import annotations

from interp_bench.harness.isolation.kernel import Refused, prctl

_GET, _SET = 3, 4


def hide_memory() -> bool:
    """Keep debuggers and ``/proc/PID/mem`` out of this process; return whether that stands.

    Processes that are forked from it are hidden too, until they start another program. It writes no
    core dump any more.
    """
    return _set(0)


def show_memory() -> bool:
    """Let debuggers in again, and dump core; return whether that stands."""
    return _set(1)


def _set(value: int) -> bool:
    try:
        prctl("dumpable", _SET, value)
        return prctl("dumpable", _GET) == value
    except Refused:
        return False
