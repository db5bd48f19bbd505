"""The pages that memory comes in: large where processes are forked from, small where techniques compute."""

from __future__ import annotations

from interp_bench.harness.isolation.kernel import Refused, prctl

_SET_HUGE_PAGES_DISABLED = 41


def small_pages() -> bool:
    """Let this process, and those forked from it, get new memory in small pages; return whether they will.

    They share the huge pages of the nursery, which make a fork cheap. But one of their own is cleared at
    its first use, which took 4.5 ms on a virtual machine that gives free memory back to its host, where as
    much memory in small pages took 1 ms, and it counts as used as a whole.
    """
    try:
        prctl("huge pages", _SET_HUGE_PAGES_DISABLED, 1)
    except Refused:
        return False
    return True
