"""What workers of a cluster post, as it comes through a socket or from Ray's actor."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import psutil
import pytest

from interp_bench.harness.isolation.wire import Hangup
from interp_bench.plugin.arrival import Arrival, Began, Post
from interp_bench.plugin.socket_mail import SocketMail

if TYPE_CHECKING:
    from interp_bench.plugin.arrival import Assignment

# Three posts, of which the last is larger than what the kernel takes at once; then half of one more.
DYING = """
import os, signal, sys
from interp_bench.harness.isolation.wire import HEAD
from interp_bench.plugin.arrival import Arrival, Began
from interp_bench.plugin.socket_mail import SocketRoute
import socket
kept = []
opened = socket.socket.connect
socket.socket.connect = lambda self, path: (kept.append(self), opened(self, path))[1]
with SocketRoute(sys.argv[1]).opened() as post:
    post(Began(key="first"))
    post(Arrival(key="first", trial="{}", seconds=1.0, then="second"))
    print("two", flush=True)
    post(Arrival(key="second", trial="x" * 2_000_000, seconds=2.0))
    kept[0].sendall(HEAD.pack(b"P", 100) + b"half")
    print("all", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocketMail]:
    folder = tmp_path_factory.mktemp("m")
    made = SocketMail(folder)
    yield made
    made.close()
    assert list(folder.iterdir()) == []


def test_posts_of_each_worker_come_in_its_order(mail: SocketMail) -> None:
    assert mail.take() == []
    with mail.route.opened() as one, mail.route.opened() as other:
        one(Began(key="a"))
        other(Began(key="b"))
        assert sorted(post.key for post in mail.take()) == ["a", "b"]
        for number in range(20):
            one(Arrival(key=f"a{number}", trial="{}", seconds=1.0))
            other(Arrival(key=f"b{number}", trial="{}", seconds=1.0))
        keys = [post.key for post in mail.take()]
    for name in "ab":
        assert [key for key in keys if key[0] == name] == [f"{name}{number}" for number in range(20)]
    assert mail.take() == []


def test_what_a_worker_posted_before_it_was_killed_arrives(mail: SocketMail) -> None:
    command = [sys.executable, "-c", DYING, mail.route.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "two\n"
        posts: list[Post] = mail.take()
        while process.poll() is None:
            posts += mail.take()
            time.sleep(0.01)
        posts += mail.take()
        assert process.stdout.read() == "all\n"
    assert process.returncode == -signal.SIGKILL
    assert [post.key for post in posts] == ["first", "first", "second"]
    assert [type(post) for post in posts] == [Began, Arrival, Arrival]
    assert cast("Arrival", posts[2]).trial == "x" * 2_000_000
    assert mail.take() == []


def test_posts_lie_ready_although_nobody_looked_for_them(mail: SocketMail) -> None:
    for number in range(100):
        with mail.route.opened() as post:
            post(Began(key=str(number)))
    assert [post.key for post in mail.take()] == [str(number) for number in range(100)]


def test_nobody_posts_to_a_closed_mail(tmp_path_factory: pytest.TempPathFactory) -> None:
    mail = SocketMail(tmp_path_factory.mktemp("m"))
    with mail.route.opened() as post:
        mail.take()
        mail.close()
        with pytest.raises(Hangup):
            post(Began(key="late"))
    with pytest.raises(OSError, match="No such file"), mail.route.opened():
        pass


def test_no_file_stays_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    before = psutil.Process().num_fds()
    mail = SocketMail(tmp_path_factory.mktemp("m"))
    for _ in range(3):
        with mail.route.opened() as post:
            post(Began(key="one"))
        mail.take()
    mail.close()
    assert psutil.Process().num_fds() == before


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with pytest.raises(OSError, match="too long"):
        SocketMail(folder)


def test_a_worker_keeps_its_processor_while_it_waits_for_an_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray lends the processor of a task to another one while the task's main thread waits."""
    pytest.importorskip("ray")
    from interp_bench.plugin import ray_cluster
    from interp_bench.plugin.actor_mail import ActorRoute

    waited: list[bool] = []
    box = SimpleNamespace(put=SimpleNamespace(remote=lambda post: post))

    def get(reference: object) -> None:
        waited.append(threading.current_thread() is threading.main_thread())

    def two_posts(assignment: object, post: Callable[[object], None]) -> str:
        post("began")
        assert waited == [False]
        post("arrived")
        return "done"

    monkeypatch.setattr("ray.get", get)
    monkeypatch.setattr(ray_cluster, "run_group", two_posts)
    assert ray_cluster.work(cast("Assignment", None), ActorRoute(box)) == "done"
    assert waited == [False, False]


def test_an_actor_that_keeps_posts_imports_no_torch() -> None:
    """Its process would compete for seconds with those that compute."""
    imported = "interp_bench.plugin.letterbox, interp_bench.plugin.arrival"
    program = f"import sys, {imported}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
