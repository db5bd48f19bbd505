"""Messages between the processes of isolation: a kind, a length and bytes over a socket."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEAD = struct.Struct("<cQ")
"""Kind and length, before the body of every message."""

_CHUNK = 1 << 20
_MOST_DESCRIPTORS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        kind: one byte that says what it is.
        body: the rest.
        descriptors: file descriptors that came along; they belong to the receiver.
    """

    kind: bytes
    body: bytes = b""
    descriptors: tuple[int, ...] = ()

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


class Hangup(Exception):
    """The other process has closed its end, or died."""


def send(
    channel: socket.socket,
    kind: bytes,
    body: bytes | bytearray | dict[str, Any] = b"",
    descriptors: Sequence[int] = (),
) -> None:
    """Send a message; a dict goes as JSON.

    Raises:
        Hangup: the other process is gone.
    """
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    head = HEAD.pack(kind, len(data))
    try:
        if descriptors:
            socket.send_fds(channel, [head], list(descriptors))
        else:
            channel.sendall(head)
        if data:
            channel.sendall(data)
    except OSError as error:
        raise Hangup(str(error)) from error


def receive(channel: socket.socket, *, limit: int | None = None) -> Message:
    """Return the next message.

    Args:
        channel: where it comes from.
        limit: most bytes of its body; None for any.

    Raises:
        Hangup: the other process is gone, in the middle of a message or before one.
        ValueError: the message is larger than the limit.
    """
    try:
        head, descriptors, _, _ = socket.recv_fds(channel, HEAD.size, _MOST_DESCRIPTORS)
        while 0 < len(head) < HEAD.size:
            more = channel.recv(HEAD.size - len(head))
            if not more:
                break
            head += more
        if len(head) < HEAD.size:
            raise Hangup("the other process has closed its end")
        kind, length = HEAD.unpack(head)
        if limit is not None and length > limit:
            raise ValueError(f"a message of {length} bytes; at most {limit} are taken")
        return Message(kind=kind, body=_exactly(channel, length), descriptors=tuple(descriptors))
    except OSError as error:
        raise Hangup(str(error)) from error


def _exactly(channel: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = channel.recv(min(_CHUNK, length - len(data)))
        if not part:
            raise Hangup("the other process stopped in the middle of a message")
        data += part
    return bytes(data)
