"""Processes that libraries keep for their next call without being asked: ended here, for nobody else can."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_POOLS = ("joblib.externals.loky.reusable_executor", "loky.reusable_executor")
_KEPT = (
    # module, its object, the descriptor that keeps the process alive, its id
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_alive_fd", "_forkserver_pid"),
    ("multiprocessing.resource_tracker", "_resource_tracker", "_fd", "_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker", "_fd", "_pid"),
    ("loky.backend.resource_tracker", "_resource_tracker", "_fd", "_pid"),
)
_PATIENCE = 2.0


class Leftovers:
    """What the standard library and joblib keep running, as it is now."""

    def __init__(self) -> None:
        self._running = {pid for _, _, _, pid in _running()}

    def end(self) -> None:
        """End what was started since: pools of workers first, then what tracks their resources."""
        # Their insides may change, and are a stranger's here: what does not end is found as it is.
        with suppress(Exception):
            for pool in _pools():
                pool.shutdown(wait=True, kill_workers=True)
            for owner, descriptor, process, pid in _running():
                if pid not in self._running:
                    os.close(getattr(owner, descriptor))
                    setattr(owner, descriptor, None)
                    setattr(owner, process, None)
                    _wait(pid)


def _pools() -> Iterator[Any]:
    for name in _POOLS:
        pool = getattr(sys.modules.get(name), "_executor", None)
        if pool is not None:
            yield pool


def _running() -> Iterator[tuple[Any, str, str, int]]:
    for module, name, descriptor, process in _KEPT:
        owner = getattr(sys.modules.get(module), name, None)
        pid = getattr(owner, process, None)
        if isinstance(pid, int) and getattr(owner, descriptor, None) is not None:
            yield owner, descriptor, process, pid


def _wait(pid: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    with suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.002)
