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

    It walks from folder to folder, for paths have a greatest length and recursions a greatest depth.
    Nobody else may be at work in the folder.
    """
    with suppress(OSError):
        place = os.open(folder, _FOLDER)
        try:
            _empty(place)
        finally:
            os.rmdir(folder)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def _empty(place: int) -> None:
    """Remove what is in a folder, given as a descriptor, which is closed."""
    names: list[str] = []
    waiting = [_clear(place)]
    try:
        while waiting:
            if waiting[-1]:
                name = waiting[-1].pop()
                with suppress(OSError):
                    os.chmod(name, 0o700, dir_fd=place)
                    below = os.open(name, _FOLDER, dir_fd=place)
                    os.close(place)
                    place = below
                    names.append(name)
                    waiting.append(_clear(place))
                continue
            waiting.pop()
            if names:
                above = os.open("..", _FOLDER, dir_fd=place)
                os.close(place)
                place = above
                with suppress(OSError):
                    os.rmdir(names.pop(), dir_fd=place)
    finally:
        os.close(place)


def _clear(place: int) -> list[str]:
    """Remove the files of a folder, and return the names of the folders in it."""
    found = []
    for name in os.listdir(place):
        try:
            os.unlink(name, dir_fd=place)
        except IsADirectoryError:
            found.append(name)
        except PermissionError:
            # What other systems than Linux say of a folder.
            found.append(name)
        except OSError:
            continue
    return found
