"""Telling somebody elsewhere, and asking for the answer."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import pytest

from tests.attacks.conftest import WORKERS, Tells, needs_wall

CALLS = """
import socket
def tcp(kind, place):
    with socket.socket(kind, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect(place)
        s.sendall(b"the weights")
def udp(kind, place):
    with socket.socket(kind, socket.SOCK_DGRAM) as s:
        s.sendto(b"the weights", place)
def listen():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
def child():
    code = "import socket; socket.create_connection(('127.0.0.1', %d), 5)" % PORT
    subprocess.run([sys.executable, "-S", "-c", code], check=True, stderr=subprocess.DEVNULL)
tell({
    "tcp": tried(lambda: tcp(socket.AF_INET, ("127.0.0.1", PORT))),
    "udp": tried(lambda: udp(socket.AF_INET, ("127.0.0.1", PORT))),
    "listening": tried(listen),
    "another program": tried(child),
    "abstract": tried(lambda: tcp(socket.AF_UNIX, b"\\0" + NAME.encode())),
})
"""


@pytest.fixture
def servers() -> Iterator[tuple[int, str]]:
    """Sockets that accept whoever comes: a port of this machine, and a name that is no file."""
    name = f"interp-bench-test-{uuid.uuid4().hex}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(b"\0" + name.encode())
        local.listen()
        yield tcp.getsockname()[1], name


def test_nobody_can_be_called(tells: Tells, servers: tuple[int, str]) -> None:
    needs_wall("network")
    needs_wall("signals")  # names that are no files came with the same version
    port, name = servers
    body = CALLS.replace("PORT", str(port)).replace("NAME", repr(name))
    assert set(tells(body, "none").values()) == {"done"}
    for isolate in WORKERS:
        assert tells(body, isolate) == {
            "tcp": "PermissionError",
            "udp": "PermissionError",
            "listening": "PermissionError",
            "another program": "CalledProcessError",
            "abstract": "PermissionError",
        }


def test_no_other_kind_of_socket_can_be_made(tells: Tells) -> None:
    needs_wall("network")
    kinds = {"IPv6": (10, 1), "IPv6 datagrams": (10, 2), "netlink": (16, 3), "packets": (17, 3),
             "raw": (2, 3), "virtual machines": (40, 1), "kernel crypto": (38, 5)}  # fmt: skip
    body = f"""
import socket
tell({{name: tried(lambda: socket.socket(*kind)) for name, kind in {kinds}.items()}})
"""
    assert set(tells(body).values()) == {"PermissionError"}


def test_no_name_is_looked_up(tells: Tells) -> None:
    """A resolver that has no socket to ask by; names of this machine are in a file."""
    needs_wall("network")
    body = """
import socket
tell(tried(lambda: socket.getaddrinfo("the-weights.example.invalid", 80)))
"""
    assert tells(body) == "gaierror"
