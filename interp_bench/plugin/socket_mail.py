"""Mail on one machine: workers write into sockets, which are read even after their end."""

from __future__ import annotations

import pickle
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from interp_bench.harness.isolation.wire import Hangup, receive, send
from interp_bench.plugin.arrival import Post

POST = b"P"
"""The kind of all messages."""

_WORKERS = 1024
_PATIENCE = 30.0
"""Seconds for which the rest of a post may take to come."""


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """What workers on this machine connect to.

    Attributes:
        path: of the socket.
    """

    path: str

    @contextmanager
    def opened(self) -> Iterator[Callable[[Post], None]]:
        """Return what takes a post: the kernel holds it as soon as it is written, whoever dies then.

        Raises:
            OSError: nobody listens.
            Hangup: nobody listens any more.
        """
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(self.path)
            yield lambda post: send(channel, POST, pickle.dumps(post))


class SocketMail:
    """Reads what workers on this machine post.

    A post is unpickled, so that its folder has to be the user's alone.

    Args:
        folder: where the socket is made; a short path, since a socket's ends at 104 on some systems.

    Raises:
        OSError: no socket can be made there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "mail"
        self._listening = socket.socket(socket.AF_UNIX)
        self._channels: list[socket.socket] = []
        try:
            self._listening.bind(str(self._path))
            self._listening.listen(_WORKERS)
        except OSError:
            self._listening.close()
            raise
        self._listening.setblocking(False)

    @property
    def route(self) -> SocketRoute:
        """Return the workers' end."""
        return SocketRoute(str(self._path))

    def take(self) -> list[Post]:
        """Return what has been posted since the last time; of each worker in its order."""
        posts: list[Post] = []
        with suppress(BlockingIOError):
            while True:
                channel, _ = self._listening.accept()
                channel.settimeout(_PATIENCE)
                self._channels.append(channel)
        while ready := self._ready():
            for channel in ready:
                try:
                    posts.append(pickle.loads(receive(channel).body))
                except Hangup:
                    channel.close()
                    self._channels.remove(channel)
        return posts

    def _ready(self) -> list[socket.socket]:
        poll = select.poll()
        by_number = {channel.fileno(): channel for channel in self._channels}
        for number in by_number:
            poll.register(number, select.POLLIN)
        return [by_number[number] for number, _ in poll.poll(0)]

    def close(self) -> None:
        """Stop listening."""
        for channel in (self._listening, *self._channels):
            channel.close()
        self._path.unlink(missing_ok=True)
