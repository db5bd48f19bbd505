"""Privileges and limits are tried with walls and without, and what has to work behind all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.harness.isolation import landlock, privileges, rlimits, sandbox, seccomp
from interp_bench.harness.isolation.kernel import Refused

if TYPE_CHECKING:
    from tests.harness.isolation.conftest import Walled

MIB = 2**20


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


def test_walls_are_raised_in_a_few_milliseconds(walled: Walled, tmp_path: Path) -> None:
    body = """
import time
from interp_bench.harness.isolation import sandbox
seconds = []
for _ in range(5):
    read, write = os.pipe()
    again = sandbox.prepare(hidden=map(Path, wish["hidden"]), limits=sandbox.ProcessLimits(memory=2**30))
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
