"""A filter of system calls: no sockets but local pairs, and nothing that reaches into other processes.

A local socket has no file to connect to either: behind one may be the daemon of containers or services,
which starts what it is told to outside of all walls. So what shares memory by such servers (a
DataLoader of torch with workers, managers of multiprocessing) does not work; pools, queues, pipes and
pairs do.

The filter is a program of the classic Berkeley packet filter that the kernel runs before each call
(``seccomp(2)``). It sees numbers, never what a pointer points to.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from interp_bench.harness.isolation.kernel import Refused, machine, prctl

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""What the kernel calls an architecture (``AUDIT_ARCH_*``)."""

FORBIDDEN = {
    # name: (x86_64, aarch64)
    "connect": (42, 203),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # Requests in a ring reach no filter.
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
}
"""Calls that are refused whatever their arguments, by their numbers."""

_SOCKET = (41, 198)
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_IOCTL = (16, 29)

_OF_ITSELF_ONLY = {
    # name: (x86_64, aarch64), arguments that have to be 0: which kind of processes, and which of them
    "setpriority": ((141, 140), (0, 1)),
    "sched_setaffinity": ((203, 122), (0,)),
    "sched_setscheduler": ((144, 119), (0,)),
    "sched_setparam": ((142, 118), (0,)),
    "sched_setattr": ((314, 274), (0,)),
    "prlimit": ((302, 261), (0,)),
}
"""Calls that may change the process that makes them, and no other of the same user."""

_NEW_NAMESPACES = 0x7E02_0000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

_TYPE_INTO_TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, by which a process types into the terminal that it was started from."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000
_X32 = 0x4000_0000

_SET_SECCOMP, _GET_SECCOMP, _FILTER = 22, 21, 2


def make_program(architecture: str) -> bytes:
    """Return the filter for an architecture, eight bytes an instruction.

    Args:
        architecture: a key of ``ARCHITECTURES``.

    Raises:
        Refused: its numbers are not known here.
    """
    if architecture not in ARCHITECTURES:
        raise Refused(f"no numbers of system calls for {architecture or 'this system'}")
    column = list(ARCHITECTURES).index(architecture)
    refuse = _op(_RETURN, _REFUSE | errno.EPERM)
    code = [_op(_LOAD, _ARCHITECTURE), _op(_EQUAL, ARCHITECTURES[architecture], 1, 0), refuse]
    code += [_op(_LOAD, _NUMBER)]
    if architecture == "x86_64":
        # The same calls once more, with short pointers.
        code += [_op(_AT_LEAST, _X32, 0, 1), refuse]
    for numbers in FORBIDDEN.values():
        code += [_op(_EQUAL, numbers[column], 0, 1), refuse]
    # Its flags lie in memory; the C library falls back to clone where there is none.
    code += [_op(_EQUAL, _CLONE3[column], 0, 1), _op(_RETURN, _REFUSE | errno.ENOSYS)]
    for numbers, argument, tests, found in (
        (_SOCKET, 0, [(_EQUAL, int(socket.AF_UNIX))], _ALLOW),
        (_CLONE, 0, [(_ANY_BIT, _NEW_NAMESPACES)], _REFUSE | errno.EPERM),
        (_IOCTL, 1, [(_EQUAL, request) for request in _TYPE_INTO_TERMINAL], _REFUSE | errno.EPERM),
    ):
        code += _on_argument(numbers[column], argument, tests, found)
    for numbers, arguments in _OF_ITSELF_ONLY.values():
        code += _only_zero(numbers[column], arguments)
    code.append(_op(_RETURN, _ALLOW))
    return b"".join(code)


def install(program: bytes) -> None:
    """Put a filter on this thread and all that it starts; it cannot be taken off again.

    Raises:
        Refused: the kernel filters no calls, or the thread may still gain privileges.
    """
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    prctl("seccomp", _SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)))


def check() -> str:
    """Return what filters of system calls are called.

    Raises:
        Refused: it has none, or their numbers are not known here.
    """
    make_program(machine())
    prctl("seccomp", _GET_SECCOMP)
    return "seccomp"


def _on_argument(number: int, argument: int, tests: list[tuple[int, int]], found: int) -> list[bytes]:
    """Return code that ends with ``found`` where a test of an argument holds, and else with the other."""
    other = _REFUSE | errno.EPERM if found == _ALLOW else _ALLOW
    # The lower half of the argument: each of these is an int to the kernel.
    block = [_op(_LOAD, _ARGUMENTS + 8 * argument)]
    for kind, value in tests:
        block += [_op(kind, value, 0, 1), _op(_RETURN, found)]
    block += [_op(_RETURN, other)]
    return [_op(_EQUAL, number, 0, len(block)), *block]


def _only_zero(number: int, arguments: tuple[int, ...]) -> list[bytes]:
    """Return code that refuses a call unless these arguments are 0."""
    block = []
    for argument in arguments:
        block += [
            _op(_LOAD, _ARGUMENTS + 8 * argument),
            _op(_EQUAL, 0, 1, 0),
            _op(_RETURN, _REFUSE | errno.EPERM),
        ]
    block.append(_op(_RETURN, _ALLOW))
    return [_op(_EQUAL, number, 0, len(block)), *block]


def _op(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
