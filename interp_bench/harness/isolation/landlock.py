"""Landlock: which files a process may read and write, whom it may signal, and no TCP.

Landlock knows only what is allowed: a folder with all that is in it, or one file. So everything is
allowed beside the way from the root down to each hidden path, as it is when the rules are made. What
comes into being beside that way later cannot be read.

Source: the kernel's documentation, "Landlock: unprivileged access control", ABI 1 to 7. It guards the
opening of files. It does not guard their names and sizes (stat, listing a folder) nor permissions
(chmod).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from fnmatch import fnmatchcase

from interp_bench.harness.isolation.kernel import Refused, checked, library, machine

DEVICES = (
    "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm",
    "nvidia*", "dri", "kfd", "dxg", "accel*",
)  # fmt: skip
"""What a process may use of ``/dev``, by pattern: never a disk, the memory or a console."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE, _READ = 1 << 0, 1 << 1, 1 << 2
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_FILE = (1 << bit for bit in range(4, 9))
_MAKE_SOCKET, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_LINK = (1 << bit for bit in range(9, 13))
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1

_SINCE = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL}
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL

READING = _READ | _EXECUTE
USING = _READ | _WRITE | _TRUNCATE | _IOCTL
OWNING = (
    READING
    | _WRITE
    | _TRUNCATE
    | _REFER
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_FILE
    | _MAKE_SOCKET
    | _MAKE_FIFO
    | _MAKE_LINK
)

SIGNALS_SINCE = 6
"""The ABI from which on signals stay within."""


def version() -> int:
    """Return the ABI of the kernel's Landlock.

    Raises:
        Refused: the kernel has none, or has it switched off.
    """
    if not machine():
        raise Refused("Landlock is asked for on 64-bit Linux only")
    return checked("Landlock", _syscall(_CREATE, None, 0, _ASK_VERSION))


def check(least: int = 1) -> str:
    """Return what the kernel's Landlock is called.

    Args:
        least: the ABI that is needed.

    Raises:
        Refused: it is older, or there is none.
    """
    abi = version()
    if abi < least:
        raise Refused(f"Landlock has ABI {abi}, {least} is needed")
    return f"Landlock ABI {abi}"


def make_ruleset(*, hidden: Iterable[str], writable: Iterable[str]) -> int:
    """Return the file descriptor of rules that `restrict` puts on a process.

    Args:
        hidden: real paths of files and folders that cannot be read; what does not exist is hidden if it
            comes into being.
        writable: real paths of folders that may be written to, and so may ``/dev/shm``. A writable
            folder inside of a hidden one can be used. With a hidden path inside of it, only what is
            beside that when the rules are made can be written to.

    Raises:
        Refused: the kernel has no Landlock.
    """
    abi = version()
    known = _known(abi)
    fields = [known, _BIND_TCP | _CONNECT_TCP, _SCOPE_SOCKETS | _SCOPE_SIGNALS]
    fields = fields[: 1 if abi < 4 else 2 if abi < SIGNALS_SINCE else 3]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = checked("Landlock", _syscall(_CREATE, attributes, len(attributes), 0))
    kept = frozenset(hidden)
    try:
        _allow(ruleset, "/", READING & known, kept | {"/dev"})
        for device in _devices():
            _allow(ruleset, device, USING & known, kept)
        for folder in ("/dev/shm", *writable):
            _allow(ruleset, folder, OWNING & known, kept - {folder})
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict(ruleset: int) -> None:
    """Put rules on this thread and all that it starts; they cannot be taken off again.

    Raises:
        Refused: the thread may still gain privileges, or has 16 sets of rules already.
    """
    checked("Landlock", _syscall(_RESTRICT, ruleset, 0))


def _known(abi: int) -> int:
    """Return the rights to files that an ABI guards, but for listing folders.

    Rights to a folder go down into it, so whoever may list the folders on the way to a hidden path
    may list that too; and python finds no module in a folder that it may not list.
    """
    first = OWNING | _MAKE_CHAR | _MAKE_BLOCK
    first &= ~(_REFER | _TRUNCATE | _IOCTL)
    return first | sum(right for since, right in _SINCE.items() if abi >= since)


def _devices() -> list[str]:
    try:
        names = os.listdir("/dev")
    except OSError:
        return []
    return [f"/dev/{name}" for name in names if any(fnmatchcase(name, pattern) for pattern in DEVICES)]


def _allow(ruleset: int, path: str, rights: int, hidden: frozenset[str]) -> None:
    """Allow a path, or what is in it beside the hidden paths."""
    within = [other for other in hidden if _is_within(other, path)]
    if path in within:
        return
    if not within:
        _add(ruleset, path, rights)
        return
    try:
        names = os.listdir(path)
    except OSError:
        return
    nearer = frozenset(within)
    for name in names:
        _allow(ruleset, os.path.join(path, name), rights, nearer)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _add(ruleset: int, path: str, rights: int) -> None:
    """Add one rule; what is a link, or is gone meanwhile, gets none."""
    try:
        # Following a link would allow what it points to, which may be hidden.
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISLNK(mode):
            allowed = rights if stat.S_ISDIR(mode) else rights & _OF_FILES
            _syscall(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, handle), 0)
    finally:
        os.close(handle)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = library().syscall(ctypes.c_long(number), *words)
    return result
