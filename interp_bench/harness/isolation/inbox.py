"""Messages of a worker put together from the pieces in which they arrive, since it may stop in between."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

_HEAD = struct.Struct("<cQ")


class Inbox:
    """Collects bytes until they make a message.

    Args:
        limits: most bytes of a message, by kind; other kinds carry none.

    Attributes:
        broken: whether something came that is no message; nothing is read after it.
    """

    def __init__(self, limits: Mapping[bytes, int]) -> None:
        self._limits = limits
        self._data = bytearray()
        self.broken = False

    def take(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Add bytes, and yield the kind and body of each message that is complete."""
        self._data += data
        while not self.broken and len(self._data) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._data)
            if length > self._limits.get(kind, 0):
                self.broken = True
                return
            end = _HEAD.size + length
            if len(self._data) < end:
                return
            body = bytes(memoryview(self._data)[_HEAD.size : end])
            del self._data[:end]
            yield kind, body
