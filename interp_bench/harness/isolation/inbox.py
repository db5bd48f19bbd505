"""Messages of a worker put together from the pieces in which they arrive, since it may stop in between.

What a message held is forgotten on demand: the process that reads them is forked into the workers that
come after, and these may look through all of their memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping

from interp_bench.harness.isolation.wire import HEAD


class Inbox:
    """Collects bytes until they make a message.

    Args:
        limits: most bytes of a message, by kind; other kinds carry none.

    Attributes:
        broken: whether something came that is no message; nothing is read after it.
    """

    def __init__(self, limits: Mapping[bytes, int]) -> None:
        self._limits = limits
        self._head = bytearray()
        self._kind = b""
        # Of its full size from the start: one that grows leaves copies behind where it was.
        self._body: bytearray | None = None
        self._filled = 0
        self.broken = False

    def take(self, data: bytes | memoryview) -> Iterator[tuple[bytes, bytearray]]:
        """Add bytes, and yield the kind and body of each message that is complete."""
        rest = memoryview(data)
        while len(rest) and not self.broken:
            if self._body is None:
                missing = HEAD.size - len(self._head)
                self._head += rest[:missing]
                rest = rest[missing:]
                if len(self._head) < HEAD.size:
                    return
                self._begin()
            if self._body is not None:
                part = rest[: len(self._body) - self._filled]
                memoryview(self._body)[self._filled : self._filled + len(part)] = part
                self._filled += len(part)
                rest = rest[len(part) :]
                if self._filled == len(self._body):
                    body, self._body = self._body, None
                    yield self._kind, body

    def wipe(self) -> None:
        """Forget what has arrived of a message that is not complete."""
        if self._body is not None:
            wipe(self._body)

    def _begin(self) -> None:
        self._kind, length = HEAD.unpack(self._head)
        self._head.clear()
        self.broken = length > self._limits.get(self._kind, 0)
        if not self.broken:
            self._body, self._filled = bytearray(length), 0


def wipe(data: bytearray) -> None:
    """Overwrite bytes with zeros where they are."""
    if data:
        ctypes.memset((ctypes.c_char * len(data)).from_buffer(data), 0, len(data))
