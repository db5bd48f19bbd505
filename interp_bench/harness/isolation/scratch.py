"""The folder that a worker may write to: how much it holds, and its end, whatever lies in it."""

from __future__ import annotations

import os
import time
from contextlib import suppress

_PAUSE = 0.2
_SHARE = 20
"""A look is followed by this many times its own time without one."""

_BLOCK = 512


class Scratch:
    """A worker's folder, seen from its keeper.

    Args:
        folder: its path.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._next = time.monotonic() + _PAUSE
        self._bytes = 0

    def look(self) -> int:
        """Return how many bytes of disk its files take, as of the last time that it was walked through."""
        start = time.monotonic()
        if start >= self._next:
            self._bytes = disk_bytes(self.folder)
            self._next = time.monotonic() + max(_PAUSE, _SHARE * (time.monotonic() - start))
        return self._bytes


def disk_bytes(folder: str) -> int:
    """Return how many bytes of disk the files below a folder take; links are not followed."""
    total, todo = 0, [folder]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
    return total


def remove(folder: str) -> None:
    """Remove a folder with all that is in it, however deep; what cannot be removed stays.

    Folders are moved up to where they can be reached, since paths have a greatest length, and a
    recursion a greatest depth.
    """
    moved, stuck = 0, 0
    while True:
        try:
            names = [name for name in os.listdir(folder) if not name.startswith(_STUCK)]
        except OSError:
            return
        if not names:
            break
        for name in names:
            path = os.path.join(folder, name)
            try:
                moved = _take_apart(path, folder, moved)
            except OSError:
                stuck += 1
                with suppress(OSError):
                    os.rename(path, os.path.join(folder, f"{_STUCK}{stuck}"))
                    continue
                return
    with suppress(OSError):
        os.rmdir(folder)


_STUCK, _MOVED = ".stuck-", ".moved-"


def _take_apart(path: str, top: str, moved: int) -> int:
    """Remove a file; or a folder, whose own folders go to the top under names that count on."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return moved
    os.chmod(path, 0o700)
    with os.scandir(path) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                moved += 1
                os.chmod(entry.path, 0o700)
                os.rename(entry.path, os.path.join(top, f"{_MOVED}{os.getpid()}-{moved}"))
            else:
                os.unlink(entry.path)
    os.rmdir(path)
    return moved
