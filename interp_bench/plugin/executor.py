"""Where trials run: in the process that pytest comes to them in, or on a Ray cluster."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import pytest

from interp_bench.errors import near_name
from interp_bench.harness.threads import VARIABLES

if TYPE_CHECKING:
    from interp_bench.harness.grid import Cell
    from interp_bench.harness.runner import Outcome
    from interp_bench.plugin.options import Options

CONNECT_SECONDS = 5.0
"""How long a cluster's address may take to answer."""

_FORMS = "ray (a cluster on this machine), ray:2 (of two workers), ray:auto or ray://HOST:PORT"


class Executor(Protocol):
    """What pytest's items get their trials from."""

    def run(self, cell: Cell) -> Outcome:
        """Return the outcome of a cell."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RayChoice:
    """The Ray cluster that was asked for.

    Attributes:
        address: of a running cluster; empty for one that is started on this machine and ends with the run.
        workers: processes on this machine; 0 for as many as it has processors.
    """

    address: str = ""
    workers: int = 0

    @property
    def local_workers(self) -> int:
        """Return how many workers compute on this machine at the same time; 1 where others do."""
        if self.address:
            return 1
        wanted = os.environ.get(VARIABLES[0], "").strip()
        threads = int(wanted) if wanted.isdigit() and int(wanted) > 0 else 1
        return self.workers or max(1, (os.cpu_count() or 1) // threads)


def read_choice(options: Options, *, distributed: bool) -> RayChoice | None:
    """Return the cluster that ``--bench-executor`` asks for, or None.

    Args:
        options: what the user asked for.
        distributed: whether xdist starts workers of its own.

    Raises:
        pytest.UsageError: it is no executor, cannot be had, or contradicts another option; one line.
    """
    if not options.executor:
        return None
    choice = parse_executor(options.executor)
    if distributed:
        raise pytest.UsageError("--bench-executor and -n both hand out the trials; give one of them")
    if find_spec("ray") is None or (choice.address.startswith("ray://") and find_spec("grpc") is None):
        raise pytest.UsageError("--bench-executor ray needs Ray: pip install 'interp-bench[ray]'")
    if options.device.startswith("cuda:"):
        raise pytest.UsageError(
            f"--bench-device is {options.device!r}, but Ray chooses the card of each trial; give cuda"
        )
    if choice.address.startswith("ray://"):
        _answers(choice.address)
    return choice


def parse_executor(text: str) -> RayChoice:
    """Return the cluster that a text names.

    Raises:
        pytest.UsageError: it names none.
    """
    kind, separator, rest = text.partition(":")
    if kind != "ray" or (separator and not rest):
        raise pytest.UsageError(f"--bench-executor is {text!r}; give {_FORMS}{near_name(kind, ['ray'])}")
    if not separator:
        return RayChoice()
    if rest == "auto":
        return RayChoice(address=rest)
    if rest.startswith("//"):
        host, port = _place(text)
        return RayChoice(address=f"ray://{host}:{port}")
    if rest.isascii() and rest.isdigit() and 1 <= int(rest) <= 1024:
        return RayChoice(workers=int(rest))
    raise pytest.UsageError(f"--bench-executor is {text!r}; give {_FORMS}")


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise pytest.UsageError(
            f"--bench-executor is {address!r}, which names no host and port; give ray://HOST:PORT "
            "(Ray's client server listens on port 10001 unless told otherwise)"
        )
    return host, int(port)


def _answers(address: str) -> None:
    """Refuse an address at which nothing listens, which Ray would try for a minute."""
    host, port = _place(address)
    try:
        socket.create_connection((host.strip("[]"), port), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        text = " ".join(str(error).split())
        raise pytest.UsageError(f"--bench-executor {address}: nothing answers there ({text})") from error
