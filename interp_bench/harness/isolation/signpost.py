"""A word to techniques that import planting or the harness, which they are not meant to.

It is a sign-post and no wall: the modules stay in memory, and whoever looks for them finds them. What
keeps the truth from a technique is that it is in another process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_CLOSED = ("interp_bench.planting", "interp_bench.harness")

_NEEDED = (
    "interp_bench.harness.isolation",
    "interp_bench.harness.discovery",
)
"""What a worker itself may still import once it holds a stranger's code."""

_NOTED: list[str] = []
_LOOKED_AT: list[int] = [0]


class Signpost(MetaPathFinder):
    """Refuses, with a reason, what techniques do not import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None for all other modules, so that they are looked for as ever.

        Raises:
            ImportError: techniques do not import this one.
        """
        if is_closed(fullname):
            room = ".".join(fullname.split(".")[:2])
            raise ImportError(
                f"techniques do not import {fullname}: {room} knows what was planted, or grades it; "
                "all that a technique needs is in interp_bench itself, and comes with the problem",
                name=fullname,
            )
        return None


def is_closed(name: str) -> bool:
    """Return whether a module is one that techniques do not import."""
    return _within(name, _CLOSED) and not _within(name, _NEEDED) and name != "interp_bench.harness"


def look_around() -> None:
    """Note which of those modules are imported, for processes that are forked from this one.

    To go through all modules costs a forked one 15 ms, since it copies the pages that their names stand
    on; so what was noted before the fork is taken over where nothing was imported since.
    """
    if _LOOKED_AT[0] != len(sys.modules):
        _NOTED[:] = [name for name in sys.modules if is_closed(name)]
        _LOOKED_AT[0] = len(sys.modules)


def put_up() -> None:
    """Refuse those modules from now on, in this process, whether they were imported before or not."""
    if any(isinstance(finder, Signpost) for finder in sys.meta_path):
        return
    if not _NOTED:
        look_around()
    for name in _NOTED:
        sys.modules.pop(name, None)
        parent, _, last = name.rpartition(".")
        with suppress(KeyError, AttributeError):
            # Or `from interp_bench import planting` would still find it.
            delattr(sys.modules[parent], last)
    sys.meta_path.insert(0, Signpost())


def _within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)
