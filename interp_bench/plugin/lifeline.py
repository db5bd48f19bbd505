"""A worker of pytest-xdist ends with the run that it belongs to."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_DEATH_SIGNAL = 1


def end_with_parent() -> bool:
    """Let the kernel kill this process when the one that started it ends; return whether it will.

    A worker sees by itself that its controller is gone, and gives what it runs fifteen seconds more, or
    as long as compiled code keeps the interpreter. Only Linux has a shorter way.
    """
    if sys.platform != "linux":
        return False
    parent = os.getppid()
    refused: int = ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return not refused
