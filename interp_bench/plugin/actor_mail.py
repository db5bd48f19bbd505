"""Mail from other machines: an actor of Ray's that keeps what workers post."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from interp_bench.plugin.arrival import Post
from interp_bench.plugin.letterbox import Letterbox


@dataclass(frozen=True, slots=True)
class ActorRoute:
    """What workers of a cluster send their posts to.

    Attributes:
        letterbox: handle of the actor.
    """

    letterbox: Any

    @contextmanager
    def opened(self) -> Iterator[Callable[[Post], None]]:
        """Return what takes a post, and returns once the actor has it."""
        # In the main thread of a task, waiting would lend its processor to another group meanwhile, for
        # which Ray starts one more process.
        with ThreadPoolExecutor(1) as waiting:
            yield lambda post: waiting.submit(self._put, post).result()

    def _put(self, post: Post) -> None:
        ray.get(self.letterbox.put.remote(post))


class ActorMail:
    """Takes what workers of the cluster that Ray is connected to have posted."""

    def __init__(self) -> None:
        box: Any = ray.remote(num_cpus=0)(Letterbox)
        self._letterbox = box.remote()
        self.take()

    @property
    def route(self) -> ActorRoute:
        """Return the workers' end."""
        return ActorRoute(self._letterbox)

    def take(self) -> list[Post]:
        """Return what has been posted since the last time.

        Raises:
            ray.exceptions.RayError: the cluster is gone.
        """
        posts: list[Post] = ray.get(self._letterbox.take.remote())
        return posts

    def close(self) -> None:
        """Do nothing: the actor ends when nobody holds it."""
