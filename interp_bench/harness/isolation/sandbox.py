"""Walls around a process that runs a stranger's technique: prepared before the fork, raised after it.

========== ============================================== =============================================
wall       what it keeps a process from                   by
========== ============================================== =============================================
files      reading hidden files, writing elsewhere        Landlock (Linux 5.13, better from 6.2)
signals    ending processes that it did not start         Landlock (Linux 6.12)
network    connections, reaching into other processes     seccomp, on x86_64 and aarch64
privileges what root may do and others may not            capabilities and no_new_privs
limits     taking memory, and writing files, without end  rlimits
========== ============================================== =============================================

A wall that the kernel lacks is missing among the names that `raise_walls` returns; nothing raises.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from interp_bench.harness.isolation import landlock, privileges, rlimits, seccomp
from interp_bench.harness.isolation.kernel import Refused, machine
from interp_bench.harness.isolation.rlimits import ProcessLimits

WALLS = ("files", "signals", "network", "privileges", "limits")
"""Names of all walls."""

_ELSEWHERE = "/proc/self/comm"
"""A file of this process's own that no folder of its own holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What a child needs to raise its walls; a fork inherits it.

    Attributes:
        ruleset: file descriptor of the rules for files, or None where the kernel has none.
        signals: whether these rules keep signals within too.
        program: filter of system calls, empty where there is none.
        limits: of the process.
    """

    ruleset: int | None
    signals: bool
    program: bytes
    limits: ProcessLimits

    def close(self) -> None:
        """Let go of the rules, in the process that prepared them; to be called once."""
        if self.ruleset is not None:
            os.close(self.ruleset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a machine offers of one wall.

    Attributes:
        name: of the wall.
        means: what it is made of, or an empty string.
        lack: why there is none, or an empty string.
    """

    name: str
    means: str = ""
    lack: str = ""


def prepare(
    *, hidden: Iterable[Path] = (), writable: Iterable[Path] = (), limits: ProcessLimits | None = None
) -> Walls:
    """Return walls to be raised in children of this process.

    Args:
        hidden: files and folders that cannot be read, symbolic links followed.
        writable: folders that may be written to, symbolic links followed; they must exist. Nothing
            else may be, but for ``/dev/shm`` and the devices of ``landlock.DEVICES``.
        limits: what the kernel keeps; by default only that there are no core dumps.
    """
    ruleset, signals, program = None, False, b""
    with suppress(Refused):
        ruleset = landlock.make_ruleset(hidden=_real(hidden), writable=_real(writable))
        signals = landlock.version() >= landlock.SIGNALS_SINCE
    with suppress(Refused):
        program = seccomp.make_program(machine())
    return Walls(ruleset=ruleset, signals=signals, program=program, limits=limits or ProcessLimits())


def raise_walls(walls: Walls) -> tuple[str, ...]:
    """Raise walls around this process for good; return the names of those that stand, as tried out.

    To be called in a process of one thread, such as one that was just forked: threads that run already
    stay outside.
    """
    standing: list[str] = []
    # The filter comes last, for it forbids none of the others, but whatever they may use one day.
    for names, wall in (
        (("limits",), _limit),
        (("privileges",), _drop),
        (("files", *(("signals",) if walls.signals else ())), _restrict),
        (("network",), _filter),
    ):
        with suppress(Refused):
            if wall(walls):
                standing += names
    return tuple(name for name in WALLS if name in standing)


def offered() -> tuple[Offer, ...]:
    """Return what this machine offers of each wall."""
    return tuple(_offer(name) for name in WALLS)


def _offer(name: str) -> Offer:
    ways = {
        "files": landlock.check,
        "signals": lambda: landlock.check(landlock.SIGNALS_SINCE),
        "network": seccomp.check,
        "privileges": privileges.check,
        "limits": rlimits.check,
    }
    try:
        return Offer(name=name, means=ways[name]())
    except Refused as refusal:
        return Offer(name=name, lack=str(refusal))


def _limit(walls: Walls) -> bool:
    rlimits.set_limits(walls.limits)
    return True


def _drop(walls: Walls) -> bool:
    privileges.renounce_new()
    privileges.drop_all()
    return privileges.held() == 0


def _restrict(walls: Walls) -> bool:
    if walls.ruleset is None:
        return False
    landlock.restrict(walls.ruleset)
    os.close(walls.ruleset)
    try:
        os.close(os.open(_ELSEWHERE, os.O_WRONLY))
    except OSError as error:
        return error.errno == errno.EACCES
    return False


def _filter(walls: Walls) -> bool:
    if not walls.program:
        return False
    seccomp.install(walls.program)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def _real(paths: Iterable[Path]) -> list[str]:
    return [os.path.realpath(path) for path in paths]
