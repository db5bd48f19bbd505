"""The nursery: a process that has imported what workers need, and computed nothing, so that it may be forked.

It is started anew, not forked from the harness: torch does not survive a fork once it has computed
with threads, and a copy of the harness would hold the truth.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import select
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from interp_bench.harness.isolation.keeper import Settings, keep
from interp_bench.harness.isolation.lineage import adopt_orphans, die_with_parent, end_descendants
from interp_bench.harness.isolation.packing import mapped, unpack
from interp_bench.harness.isolation.signpost import look_around
from interp_bench.harness.isolation.wire import Hangup, Message, receive, send
from interp_bench.harness.isolation.worker import Show
from interp_bench.harness.sight import Sight

HELLO, EXPECT, KEEP = b"H", b"X", b"N"
"""Kinds of messages from the harness to the nursery; the first is answered in kind."""


def main(descriptor: int, parent: int) -> None:
    """Serve the harness until it closes the channel.

    Args:
        descriptor: of the channel.
        parent: process id of the harness.
    """
    die_with_parent(parent)
    adopt_orphans()
    channel = socket.socket(fileno=descriptor)
    with suppress(Hangup):
        _prepare(receive(channel).json())
        send(channel, HELLO, {"threads": len(os.listdir("/proc/self/task"))})
        while True:
            _reap()
            if select.select([channel], [], [], 1.0)[0]:
                message = receive(channel)
                if message.kind == EXPECT:
                    _learn(message.json()["modules"])
                else:
                    _keep(channel, message)
    end_descendants()
    # Taking apart what was imported takes half a second, for which the harness would wait.
    os._exit(0)


def _prepare(asked: dict[str, list[str]]) -> None:
    sys.path[:] = asked["path"]
    import torch

    from interp_bench.harness.discovery import load_packages

    # With one thread torch starts no others; workers set what they are told.
    torch.set_num_threads(1)
    load_packages(asked["packages"])
    _settle()


def _settle() -> None:
    """Let no collection in a keeper look at what lives here: that takes .4 s, and copies its pages."""
    look_around()
    gc.collect()
    gc.freeze()


def _keep(channel: socket.socket, message: Message) -> None:
    asked = message.json()
    keeper, *segments = message.descriptors
    _learn([name for name in asked["modules"] if name not in asked["files"]])
    parent = os.getpid()
    if os.fork() == 0:
        channel.close()
        own = socket.socket(fileno=keeper)
        die_with_parent(parent)
        os.environ.update(asked["environment"])
        eager = bool(segments) and not asked["accelerated"]
        keep(own, _loader(asked, segments), Settings(**asked["settings"], eager=eager))
    for number in message.descriptors:
        os.close(number)


def _loader(asked: dict[str, Any], segments: list[int]) -> Callable[[], Show]:
    """Return what a keeper does to get at its problem, and how its workers see it."""

    def load() -> Show:
        for name, file in asked["files"].items():
            if name not in sys.modules:
                _load_file(name, file)
        if not segments:
            return _nothing
        maps = [mapped(number) for number in segments]
        for number in segments:
            os.close(number)
        if not asked["accelerated"]:
            sight = unpack(maps, device=False)
            return lambda: sight
        # What computes on an accelerator cannot be forked, so each worker moves its own there, once.
        return cache(lambda: unpack(maps, device=True))

    return load


def _nothing() -> Sight:
    raise RuntimeError("this keeper holds no problem")


def _load_file(name: str, file: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _learn(names: Sequence[str]) -> None:
    """Import modules; what cannot be imported is reported when the problem is unpacked."""
    known = len(sys.modules)
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)
    if len(sys.modules) > known:
        _settle()


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
