"""Sockets and calls into other processes are tried with the filter and without."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.harness.isolation import seccomp

if TYPE_CHECKING:
    from tests.harness.isolation.conftest import Walled

SOCKETS = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_UNIX):
    say(tried(lambda: socket.socket(family, socket.SOCK_DGRAM).close()))
left, right = socket.socketpair()
left.sendall(b"x")
say(right.recv(1).decode())
"""


def test_only_local_sockets_can_be_opened(walled: Walled) -> None:
    assert walled("network", SOCKETS) == [*["PermissionError"] * 3, None, "x"]
    assert walled("network", SOCKETS, walls=False)[0] is None


def test_a_server_of_this_machine_cannot_be_reached(walled: Walled, tmp_path: Path) -> None:
    path = tmp_path / "server"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        body = f"import socket\nsay(tried(lambda: socket.socket(socket.AF_UNIX).connect({str(path)!r})))"
        assert walled("network", body) == ["PermissionError"]
        assert walled("network", body, walls=False) == [None]


CALLS = """
import ctypes, errno, os
from interp_bench.harness.isolation.kernel import machine
from interp_bench.harness.isolation.seccomp import ARCHITECTURES, FORBIDDEN
library = ctypes.CDLL(None, use_errno=True)
column = list(ARCHITECTURES).index(machine())
def failed(number, *arguments):
    library.syscall(number, *map(ctypes.c_long, arguments))
    return errno.errorcode.get(ctypes.get_errno(), "")
# Arguments that no call accepts, so that nothing happens where there is no wall.
say({name: failed(numbers[column], -1, -1, -1, -1, -1) for name, numbers in FORBIDDEN.items()})
say(failed((56, 220)[column], 0x10000000 | 17, 0, 0, 0, 0))
say(failed(435, 0, 0))
say(tried(lambda: os.kill(os.getpid(), 0)))
"""


def test_no_call_of_the_list_comes_through(walled: Walled) -> None:
    calls, clone, clone3, kill = walled("network", CALLS)
    assert calls == dict.fromkeys(seccomp.FORBIDDEN, "EPERM")
    assert (clone, clone3, kill) == ("EPERM", "ENOSYS", None)


def test_the_numbers_of_calls_are_those_of_the_system() -> None:
    headers = {"x86_64": "/usr/include/*/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}
    own = {name: numbers for name, (numbers, _) in seccomp._OF_ITSELF_ONLY.items() if name != "prlimit"}
    named = {**seccomp.FORBIDDEN, **own, "socket": (41, 198), "clone": (56, 220), "prlimit64": (302, 261)}
    seen = 0
    for column, pattern in enumerate(headers.values()):
        for header in Path("/").glob(pattern.lstrip("/")):
            text = header.read_text(encoding="ascii")
            found = dict(
                line.split()[1:3]
                for line in text.splitlines()
                if line.startswith("#define __NR") and len(line.split()) == 3
            )
            for name, numbers in named.items():
                number = found.get(f"__NR_{name}") or found.get(f"__NR3264_{name}")
                assert number is None or int(number) == numbers[column], name
                seen += number is not None
    if not seen:
        pytest.skip("no headers of the kernel are installed to compare with")


LIMITS_OF_OTHERS = """
import os, resource
say(tried(lambda: resource.prlimit({pid}, resource.RLIMIT_CPU, (50, 50))))
say(tried(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE) and None))
"""


def test_limits_of_other_processes_cannot_be_set(walled: Walled, other: subprocess.Popen[bytes]) -> None:
    body = LIMITS_OF_OTHERS.format(pid=other.pid)
    assert walled("network", body) == ["PermissionError", None]
    assert walled("network", body, walls=False)[0] != "PermissionError"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other machines have one set of calls")
def test_the_second_set_of_calls_is_closed(walled: Walled) -> None:
    body = """
import ctypes, errno
library = ctypes.CDLL(None, use_errno=True)
library.syscall(0x40000000 | 39)
say(errno.errorcode[ctypes.get_errno()])
"""
    assert walled("network", body) == ["EPERM"]
