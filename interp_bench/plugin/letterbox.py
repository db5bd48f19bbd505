"""What workers of a cluster post to, and the process that the user started takes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp_bench.plugin.arrival import Post


class Letterbox:
    """An actor that keeps what workers post until it is taken.

    Ray's generators would do the same, but not for a client that is not part of the cluster. It has a file
    of its own since its process imports what stands beside it, and competes with those that compute.
    """

    def __init__(self) -> None:
        self._posts: list[Post] = []

    def put(self, post: Post) -> None:
        """Keep a message."""
        self._posts.append(post)

    def take(self) -> list[Post]:
        """Return what has come since the last time."""
        posts, self._posts = self._posts, []
        return posts
