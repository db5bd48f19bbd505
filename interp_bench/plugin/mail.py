"""How what the workers of a cluster post comes to the process that the user started."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from interp_bench.plugin.arrival import Post


class Route(Protocol):
    """The workers' end, which is sent to them along with the work."""

    def opened(self) -> AbstractContextManager[Callable[[Post], None]]:
        """Return, for a while, what takes a post and returns once that outlives its worker."""
        ...


class Mail(Protocol):
    """The end of the process that the user started."""

    @property
    def route(self) -> Route:
        """Return the workers' end."""
        ...

    def take(self) -> list[Post]:
        """Return what has been posted since the last time, at least all that came before this call."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...
