"""Settings of the process and of torch that a technique must leave as it found them."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interp_bench.harness.breach import Breach

_GRACE = 0.05
"""Seconds that threads have to end after the call."""

_GONE = "a folder that is gone"
_TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One setting.

    Attributes:
        read: returns it.
        write: puts it back; None where that cannot be.
        message: says what is wrong with its value now; None where a change is put back without a word.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object] | None
    message: Callable[[Any], str] | None = None


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return _GONE


def _set_folder(path: str) -> None:
    if path != _GONE:
        os.chdir(path)


def _set_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _set_errors(state: dict[str, Any]) -> None:
    np.seterr(**state)


def _set_stream(name: str) -> Callable[[Any], None]:
    return lambda stream: setattr(sys, name, stream)


_SETTINGS = (
    _Setting(read=sys.getrecursionlimit, write=sys.setrecursionlimit),
    _Setting(read=gc.isenabled, write=lambda on: gc.enable() if on else gc.disable()),
    _Setting(read=np.geterr, write=_set_errors),
    _Setting(
        read=torch.is_grad_enabled,
        write=torch.set_grad_enabled,
        message=lambda on: f"left gradient recording {_on(on)}; use 'with torch.no_grad():'",
    ),
    _Setting(
        read=torch.is_inference_mode_enabled,
        write=None,
        message=lambda on: f"left inference mode {_on(on)}; use 'with torch.inference_mode():'",
    ),
    _Setting(
        read=lambda: torch.is_autocast_enabled("cpu"),
        write=lambda on: torch.set_autocast_enabled("cpu", on),
        message=lambda on: f"left autocast {_on(on)}; use 'with torch.autocast(...):'",
    ),
    _Setting(
        read=torch.is_anomaly_enabled,
        write=torch.autograd.set_detect_anomaly,
        message=lambda on: f"left anomaly detection {_on(on)}; use 'with torch.autograd.detect_anomaly():'",
    ),
    _Setting(
        read=torch.get_default_dtype,
        write=torch.set_default_dtype,
        message=lambda dtype: f"left the default dtype at {dtype}; give dtype= where tensors are made",
    ),
    _Setting(
        read=torch.get_default_device,
        write=_set_device,
        message=lambda device: f"left the default device at {device}; use 'with torch.device(...):'",
    ),
    _Setting(
        read=torch.get_num_threads,
        write=torch.set_num_threads,
        message=lambda count: f"left the number of threads at {count}; leave it alone, the user sets it",
    ),
    _Setting(
        read=torch.get_float32_matmul_precision,
        write=torch.set_float32_matmul_precision,
        message=lambda name: f"left the precision of matrix products at {name!r}; put it back",
    ),
    _Setting(
        read=torch.are_deterministic_algorithms_enabled,
        write=torch.use_deterministic_algorithms,
        message=lambda on: "left torch.use_deterministic_algorithms changed; put it back",
    ),
    _Setting(
        read=torch.initial_seed,
        write=None,
        message=lambda seed: "reseeded torch's global generator; use problem.generator() or problem.rng",
    ),
    _Setting(
        read=_folder,
        write=_set_folder,
        message=lambda path: f"left the working directory at {path}; use 'with contextlib.chdir(...):'",
    ),
    *(
        _Setting(
            read=lambda name=name: getattr(sys, name),  # type: ignore[misc]
            write=_set_stream(name),
            message=lambda now, name=name: (  # type: ignore[misc]
                f"left sys.{name} replaced; use 'with contextlib.redirect_{name}(...):'"
            ),
        )
        for name in ("stdout", "stderr")
    ),
)


class ProcessState:
    """Settings, signal handlers, timers and threads of this process, as they are now."""

    def __init__(self) -> None:
        self._values = [setting.read() for setting in _SETTINGS]
        self._handlers = _handlers()
        self._timers = _armed()
        self._threads = set(threading.enumerate())

    def breaches(self) -> list[Breach]:
        """Return how the process differs from the state that was taken."""
        found = [
            setting.message(now)
            for setting, before in zip(_SETTINGS, self._values, strict=True)
            if (now := setting.read()) != before and setting.message is not None
        ]
        found += [self._handler_breach(), self._timer_breach(), self._thread_breach()]
        return [Breach(message=message) for message in found if message]

    def repair(self) -> None:
        """Put back what can be."""
        for setting, before in zip(_SETTINGS, self._values, strict=True):
            if setting.write is not None and setting.read() != before:
                setting.write(before)
        for name in _armed() - self._timers:
            signal.setitimer(getattr(signal, name), 0)
        for number in _changed(self._handlers):
            # Only the main thread may, and what was not set from python cannot be named.
            with suppress(ValueError, TypeError, OSError):
                signal.signal(number, self._handlers[number])

    def _handler_breach(self) -> str:
        names = ", ".join(_name(number) for number in _changed(self._handlers))
        return f"left another handler for {names}; put back what signal.signal returned" if names else ""

    def _timer_breach(self) -> str:
        armed = _armed() - self._timers
        return "left a timer running that sends a signal; call signal.alarm(0)" if armed else ""

    def _thread_breach(self) -> str:
        left = self._left()
        deadline = time.monotonic() + _GRACE
        for thread in left:
            thread.join(max(0.0, deadline - time.monotonic()))
        names = [thread.name for thread in left if thread.is_alive()]
        if not names:
            return ""
        many = "a thread" if len(names) == 1 else f"{len(names)} threads"
        return f"left {many} running ({names[0]!r}); join what it starts, and use pools in a 'with' block"

    def _left(self) -> list[threading.Thread]:
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self._threads
            # Threads that python did not start, and the one with which tqdm watches its bars.
            and not isinstance(thread, threading._DummyThread)
            and not type(thread).__module__.startswith("tqdm.")
        ]


def _on(value: bool) -> str:
    return "on" if value else "off"


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _changed(before: dict[int, Any]) -> list[int]:
    now = _handlers()
    return sorted(number for number, handler in before.items() if now[number] != handler)


def _armed() -> set[str]:
    present = [name for name in _TIMERS if hasattr(signal, name)]
    return {name for name in present if signal.getitimer(getattr(signal, name))[0] > 0}


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
