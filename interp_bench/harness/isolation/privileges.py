"""Giving up privileges: a process of root's that may no more than anybody, for good."""

from __future__ import annotations

import ctypes
import struct

from interp_bench.harness.isolation.kernel import Refused, checked, library, prctl

_SET_NO_NEW_PRIVILEGES, _GET_NO_NEW_PRIVILEGES = 38, 39
_READ_BOUND, _DROP_BOUND = 23, 24
_AMBIENT, _CLEAR_ALL = 47, 4
_CAPABILITIES = 64
_VERSION_3 = 0x2008_0522


def renounce_new() -> None:
    """Gain no privileges by starting a program, such as sudo, any more.

    Raises:
        Refused: the kernel does not know this.
    """
    prctl("no_new_privs", _SET_NO_NEW_PRIVILEGES, 1)


def check() -> str:
    """Return what privileges that can be given up are called.

    Raises:
        Refused: they cannot.
    """
    prctl("no_new_privs", _GET_NO_NEW_PRIVILEGES)
    return "capabilities"


def drop_all() -> None:
    """Give up every capability: bounding, ambient, inheritable, permitted and effective.

    Raises:
        Refused: the kernel said no.
    """
    for capability in range(_CAPABILITIES):
        try:
            if prctl("capabilities", _READ_BOUND, capability):
                prctl("capabilities", _DROP_BOUND, capability)
        except Refused:
            # No such capability, or no right to give this up, which has no effect without new privileges.
            continue
    prctl("capabilities", _AMBIENT, _CLEAR_ALL)
    checked("capabilities", library().capset(_header(), bytes(24)))


def held() -> int:
    """Return the capabilities that this thread holds or could take, one bit each.

    Raises:
        Refused: the kernel does not say.
    """
    words = ctypes.create_string_buffer(24)
    checked("capabilities", library().capget(_header(), words))
    first, second = struct.unpack("=3I", words.raw[:12]), struct.unpack("=3I", words.raw[12:])
    low, high = (one[0] | one[1] | one[2] for one in (first, second))
    return int(low | high << 32)


def _header() -> bytes:
    return struct.pack("=Ii", _VERSION_3, 0)
