"""Calls of the Linux kernel that python has no function for."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

LINUX = sys.platform == "linux"

_NOT_LINUX = "only Linux has it"


class Refused(Exception):
    """The kernel lacks a call, or refused it; the text says which and why, in a few words."""


@cache
def library() -> ctypes.CDLL:
    """Return the C library of this process.

    Raises:
        Refused: this is no Linux.
    """
    if not LINUX:
        raise Refused(_NOT_LINUX)
    return ctypes.CDLL(None, use_errno=True)


def checked(name: str, result: int) -> int:
    """Return the result of a call of the C library that sets errno when it fails.

    Raises:
        Refused: the result is negative.
    """
    if result < 0:
        raise Refused(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def prctl(name: str, option: int, *arguments: int | ctypes.Array[ctypes.c_char]) -> int:
    """Call ``prctl(2)``.

    Args:
        name: of the option, for the error.
        option: its number.
        arguments: of the option, the rest are 0.

    Raises:
        Refused: the kernel said no.
    """
    words = [value if isinstance(value, ctypes.Array) else ctypes.c_ulong(value) for value in arguments]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    return checked(name, library().prctl(ctypes.c_int(option), *words))


def machine() -> str:
    """Return the architecture whose system calls this process makes, or an empty string for a foreign one."""
    return os.uname().machine if LINUX and sys.maxsize > 2**32 and sys.byteorder == "little" else ""
