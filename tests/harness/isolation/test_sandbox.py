"""Each wall is tried by doing what it forbids, once with it and once without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.harness.isolation import landlock, privileges, rlimits, sandbox, seccomp
from interp_bench.harness.isolation.kernel import Refused

if TYPE_CHECKING:
    from tests.harness.isolation.conftest import Walled

MIB = 2**20


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user that is no child of the walled one."""
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "TOLD_TO_NOBODY": "1"})
    yield process
    process.kill()
    process.wait()


def tree(folder: Path) -> None:
    for name in ("secret/key", "secret/deep/key", "open/deep/key", "open/key", "own/note"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (folder / "open" / "link").symlink_to(folder / "secret" / "key")
    (folder / "way").symlink_to(folder / "secret")


# ----------------------------------------------------------------------- files

READ = """
from pathlib import Path
for name in {names!r}:
    say(tried((Path({folder!r}) / name).read_text))
"""


def test_hidden_files_cannot_be_read_by_any_way_and_all_others_can(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    secrets = ["secret/key", "secret/deep/key", "open/link", "way/key", "open/deep/key"]
    others = ["open/key", "own/note"]
    body = READ.format(folder=str(tmp_path), names=secrets + others)
    hidden = [tmp_path / "way", tmp_path / "open" / "deep" / "key"]
    assert walled("files", body, hidden=hidden) == ["PermissionError"] * 5 + others
    opened = walled("files", body, hidden=hidden, walls=False)
    assert opened == ["secret/key", "secret/deep/key", "secret/key", "secret/key", "open/deep/key", *others]


def test_a_link_beside_the_way_to_a_hidden_file_does_not_open_it(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    body = READ.format(folder=str(tmp_path), names=["open/link"])
    hidden = [tmp_path / "secret" / "key", tmp_path / "open" / "deep"]
    assert walled("files", body, hidden=hidden) == ["PermissionError"]


def test_what_comes_into_being_where_something_is_hidden_is_hidden_too(
    walled: Walled, tmp_path: Path
) -> None:
    body = f"""
import subprocess
from pathlib import Path
folder = Path({str(tmp_path)!r})
say(tried((folder / "later").read_text))
"""
    late = "(Path(wish['hidden'][0]).parent / 'later').write_text('x')"
    assert walled("files", body, hidden=[tmp_path / "absent"], late=late) == ["PermissionError"]
    assert walled("files", body, hidden=[tmp_path / "absent"], late=late, walls=False) == ["x"]


WRITE = """
import os
from pathlib import Path
folder = Path({folder!r})
own, other = folder / "own", folder / "open"
def made(path):
    path.write_text("new")
    return path.read_text()
for place in (own, other):
    say(tried(lambda: made(place / "new")))
    say(tried(lambda: (place / "folder").mkdir()))
    say(tried(lambda: os.truncate(place / "new" if place == own else place / "key", 1)))
    say(tried(lambda: (place / "new" if place == own else place / "key").unlink()))
    say(tried(lambda: os.rename(place / "folder" if place == own else place / "deep", place / "moved")))
    say(tried(lambda: os.symlink("x", place / "symlink")))
say(tried(lambda: os.rename(own / "note", other / "note")))
say(tried(lambda: os.link(other / "key", own / "key")))
"""


def test_only_the_own_folder_can_be_written_to(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    body = WRITE.format(folder=str(tmp_path))
    found = walled("files", body, writable=[tmp_path / "own"])
    assert found[:6] == ["new", None, None, None, None, None]
    refused = ["PermissionError"] * 6
    if landlock.version() < 3:
        refused[2] = None
    assert found[6:12] == refused
    assert all(name in ("PermissionError", "OSError") for name in found[12:])
    assert (tmp_path / "open" / "key").read_text(encoding="utf-8") == "open/key"


def test_without_walls_any_folder_can_be_written_to(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    found = walled("files", WRITE.format(folder=str(tmp_path)), walls=False)
    assert found == ["new", None, None, None, None, None] * 2 + [None, "FileNotFoundError"]


def test_an_own_folder_within_a_hidden_one_can_be_used(walled: Walled, tmp_path: Path) -> None:
    tree(tmp_path)
    body = f"""
from pathlib import Path
folder = Path({str(tmp_path)!r}) / "secret"
say(tried((folder / "key").read_text))
(folder / "deep" / "new").write_text("new")
say((folder / "deep" / "new").read_text())
"""
    found = walled("files", body, hidden=[tmp_path / "secret"], writable=[tmp_path / "secret" / "deep"])
    assert found == ["PermissionError", "new"]


def test_devices_can_be_used_but_no_disk(walled: Walled) -> None:
    body = """
import os, stat
def opened(path, flags):
    os.close(os.open(path, flags))
for name in ("null", "zero", "urandom"):
    say(tried(lambda: opened("/dev/" + name, os.O_RDWR if name != "urandom" else os.O_RDONLY)))
with open("/dev/shm/interp-bench-test", "w") as stream:
    os.unlink(stream.name)
def is_disk(path):
    return stat.S_ISBLK(os.lstat(path).st_mode)
names = [entry.path for entry in os.scandir("/dev") if is_disk(entry.path)]
say(all(tried(lambda: opened(name, os.O_RDONLY)) == "PermissionError" for name in names))
"""
    assert walled("files", body) == [None, None, None, True]


PEEK = """
from pathlib import Path
other = Path("/proc", "{pid}")
say(tried(lambda: len((other / "environ").read_bytes()) > 0))
say(tried(lambda: open(other / "mem", "rb").close()))
say(tried(lambda: len((other / "maps").read_text()) > 0))
"""


def test_other_processes_cannot_be_looked_into(walled: Walled, other: subprocess.Popen[bytes]) -> None:
    body = PEEK.format(pid=other.pid)
    assert walled("files", body) == ["PermissionError"] * 3
    assert walled("files", body, walls=False) == [True, None, True]


def test_the_own_memory_can_be_looked_into(walled: Walled) -> None:
    assert walled("files", PEEK.format(pid="self")) == [True, None, True]


# --------------------------------------------------------------------- signals


def test_only_own_processes_can_be_ended(walled: Walled, other: subprocess.Popen[bytes]) -> None:
    body = f"""
import os, signal, subprocess
say(tried(lambda: os.kill({other.pid}, 0)))
say(tried(lambda: os.kill(os.getppid(), 0)))
child = subprocess.Popen(["sleep", "60"])
child.kill()
say(child.wait())
"""
    assert walled("signals", body) == ["PermissionError", "PermissionError", -9]
    assert walled("signals", body, walls=False) == [None, None, -9]
    assert other.poll() is None


# --------------------------------------------------------------------- network

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
    named = {**seccomp.FORBIDDEN, "socket": (41, 198), "clone": (56, 220), "prlimit64": (302, 261)}
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


# ------------------------------------------------------------------ privileges


def test_root_keeps_no_capability_and_gains_none(walled: Walled) -> None:
    body = """
import re, subprocess
from pathlib import Path
from interp_bench.harness.isolation import privileges
say(privileges.held())
own = "/proc/self/status"
for text in (Path(own).read_text(), subprocess.check_output(["cat", own], text=True)):
    say([int(value, 16) for value in re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\\t(\\w+)", text)])
    say(re.findall(r"NoNewPrivs:\\t(\\d)", text))
"""
    assert walled("privileges", body) == [0, [0] * 4, ["1"], [0] * 4, ["1"]]
    if os.getuid() == 0:
        assert walled("privileges", body, walls=False)[0] == privileges.held() != 0


def test_root_is_no_way_round_permissions(walled: Walled, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root has privileges to lose")
    path = tmp_path / "others"
    path.write_text("x", encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, 12345, 12345)
    body = f"from pathlib import Path\nsay(tried(Path({str(path)!r}).read_text))"
    assert walled("privileges", body) == ["PermissionError"]
    assert walled("privileges", body, walls=False) == ["x"]


# ---------------------------------------------------------------------- limits


def test_a_process_that_takes_too_much_memory_gets_an_error_of_its_own(walled: Walled) -> None:
    body = f"""
say(tried(lambda: len(bytearray({48 * MIB}))))
say(tried(lambda: len(bytearray({96 * MIB}))))
"""
    assert walled("limits", body, memory=64 * MIB) == [48 * MIB, "MemoryError"]
    assert walled("limits", body, memory=64 * MIB, walls=False) == [48 * MIB, 96 * MIB]


def test_limits_cannot_be_raised_again(walled: Walled) -> None:
    body = """
import resource
hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
say(tried(lambda: resource.setrlimit(resource.RLIMIT_DATA, (hard + 1, hard + 1))))
say(resource.getrlimit(resource.RLIMIT_CORE))
"""
    assert walled("limits", body, memory=64 * MIB) == ["ValueError", [0, 0]]


def test_a_file_cannot_grow_beyond_its_limit(walled: Walled, tmp_path: Path) -> None:
    body = f"""
from pathlib import Path
say(tried(lambda: (Path({str(tmp_path)!r}) / "large").write_bytes(bytes(2000))))
"""
    assert walled("limits", body, writable=[tmp_path], file_size=1000) == ["OSError"]
    assert walled("limits", body, writable=[tmp_path], file_size=1000, walls=False) == [2000]


def test_own_memory_is_measured() -> None:
    before = rlimits.own_memory()
    block = bytearray(64 * MIB)
    assert rlimits.own_memory() - before == pytest.approx(64 * MIB, abs=4 * MIB)
    del block


# ------------------------------------------------------------ what has to work

EVERYDAY = """
import multiprocessing, os, subprocess, sys, tempfile, threading
from concurrent.futures import ThreadPoolExecutor
tempfile.tempdir = {folder!r}
with ThreadPoolExecutor(4) as pool:
    say(sum(pool.map(lambda n: n * n, range(10))))
say(subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True).stdout)
with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stream:
    stream.write(b"x")
    say(os.listdir(folder))
with multiprocessing.get_context("fork").Pool(2) as pool:
    say(pool.map(abs, [-1, -2]))
queue = multiprocessing.get_context("spawn").Queue()
queue.put("put")
say(queue.get(timeout=60))
"""


def test_threads_processes_and_temporary_files_work_behind_all_walls(walled: Walled, tmp_path: Path) -> None:
    body = EVERYDAY.format(folder=str(tmp_path))
    assert walled("limits", body, writable=[tmp_path], memory=512 * MIB) == [285, "7\n", [], [1, 2], "put"]


TORCH = """
import tempfile
tempfile.tempdir = {folder!r}
import torch
torch.set_num_threads(4)
x = torch.ones(512, 512, requires_grad=True)
y = (x @ x).sum()
y.backward()
say([y.item(), x.grad[0, 0].item()])
def heavy():
    return torch.ones({many}).sum().item()
say("DefaultCPUAllocator" in str(tried(lambda: caught(heavy))))
"""
CAUGHT = """
def caught(action):
    try:
        return action()
    except RuntimeError as error:
        return str(error)
"""


def test_torch_computes_with_threads_and_is_refused_too_much(walled: Walled, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    body = CAUGHT + TORCH.format(folder=str(tmp_path), many=2**29)
    assert walled("limits", body, writable=[tmp_path], memory=1024 * MIB) == [[512.0**3, 1024.0], True]


# --------------------------------------------------------------------- the whole


def test_walls_are_raised_in_a_few_milliseconds(walled: Walled, tmp_path: Path) -> None:
    body = """
import time
from interp_bench.harness.isolation import sandbox
seconds = []
for _ in range(5):
    read, write = os.pipe()
    again = sandbox.prepare(hidden=map(Path, wish["hidden"]), limits=sandbox.Limits(memory=2**30))
    child = os.fork()
    if not child:
        start = time.process_time()
        sandbox.raise_walls(again)
        os.write(write, str(time.process_time() - start).encode())
        os._exit(0)
    os.waitpid(child, 0)
    seconds.append(float(os.read(read, 100)))
say(min(seconds))
"""
    [seconds] = walled("limits", body, hidden=[tmp_path / "secret"], walls=False)
    assert seconds < 0.005


def test_walls_stand_in_the_order_of_their_names(walled: Walled) -> None:
    [standing] = walled("limits", "say(standing)")
    assert standing == [offer.name for offer in sandbox.offered() if not offer.lack]


def test_a_kernel_without_walls_is_reported_and_nothing_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise Refused("Landlock: Function not implemented")

    monkeypatch.setattr(landlock, "version", lacking)
    monkeypatch.setattr(sandbox, "machine", lambda: "riscv64")
    monkeypatch.setattr(seccomp, "machine", lambda: "riscv64")
    walls = sandbox.prepare(hidden=[Path("x")], writable=[Path("y")])
    assert (walls.ruleset, walls.signals, walls.program) == (None, False, b"")
    walls.close()
    offers = {offer.name: offer for offer in sandbox.offered()}
    assert offers["files"].lack == offers["signals"].lack == "Landlock: Function not implemented"
    assert offers["network"].lack == "no numbers of system calls for riscv64"


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (2, 8), (3, 8), (4, 16), (5, 16), (6, 24), (7, 24)])
def test_an_older_landlock_is_asked_for_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, abi: int, size: int
) -> None:
    asked: list[tuple[object, ...]] = []

    def syscall(*arguments: object) -> int:
        asked.append(arguments)
        return os.open(os.devnull, os.O_RDONLY) if arguments[0] == 444 else 0

    monkeypatch.setattr(landlock, "version", lambda: abi)
    monkeypatch.setattr(landlock, "_syscall", syscall)
    os.close(landlock.make_ruleset(hidden=[], writable=[]))
    [attributes] = [arguments[1] for arguments in asked if arguments[0] == 444]
    assert isinstance(attributes, bytes)
    assert len(attributes) == size
    bits = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF, 6: 0xFFFF, 7: 0xFFFF}[abi]
    # All but READ_DIR.
    assert int.from_bytes(attributes[:8], "little") == bits & ~0x8
