"""Nobody outlives the run: children, grandchildren, and daemons that hide."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.isolated.lab import gone

if not Path("/proc/self/status").exists():
    pytest.skip("processes are found in /proc", allow_module_level=True)

BEGIN = """
import os, signal, sys, time
from interp_bench.harness.isolation import lineage
def sleeping():
    # Whoever reads the output waits for all who could write to it.
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    while True:
        time.sleep(60)
def daemon(write):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(write, f"{os.getpid()}\\n".encode())
            sleeping()
        os._exit(0)
"""


def run(body: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + body], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


DAEMON = """
{adopt}
read, write = os.pipe()
worker = os.fork()
if worker == 0:
    daemon(write)
    os._exit(0)
pid = int(os.read(read, 100))
os.waitpid(worker, 0)
while os.getsid(pid) == os.getsid(0):
    time.sleep(0.01)
ended = lineage.end_descendants()
print(pid, pid in ended)
"""


def test_a_daemon_is_found_and_ended_by_whoever_adopts_it() -> None:
    pid, ended = run(DAEMON.format(adopt="assert lineage.adopt_orphans()"))
    assert ended == "True"
    assert gone(int(pid))


def test_without_adoption_a_daemon_gets_away() -> None:
    pid, ended = run(DAEMON.format(adopt=""))
    try:
        assert ended == "False"
        assert psutil.pid_exists(int(pid))
    finally:
        psutil.Process(int(pid)).kill()


def test_kept_processes_and_theirs_are_left_alone() -> None:
    pids = run("""
lineage.adopt_orphans()
read, write = os.pipe()
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            sleeping()
        os.write(write, f"{os.getpid()} {grandchild}\\n".encode())
        sleeping()
    children.append(child)
said = b""
while said.count(b"\\n") < 2:
    said += os.read(read, 100)
families = dict(map(int, line.split()) for line in said.decode().splitlines())
kept, other = children
ended = lineage.end_descendants(keep=[kept])
print(sorted(ended) == sorted([other, families[other]]))
print(lineage._reaped(kept), lineage._reaped(families[kept]))
print(sorted(lineage.end_descendants()) == sorted([kept, families[kept]]))
print(lineage.end_descendants())
""")
    assert pids == ["True", "False", "False", "True", "()"]


def test_processes_that_start_others_all_the_time_are_ended() -> None:
    found = run("""
lineage.adopt_orphans()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"x")
    while True:
        if os.fork() == 0:
            time.sleep(0.001)
            if os.fork():
                os._exit(0)
            time.sleep(0.001)
            os._exit(0)
        time.sleep(0.001)
os.read(read, 1)
print(len(lineage.end_descendants()) > 0, lineage.end_descendants())
""")
    assert found == ["True", "()"]


def test_ended_children_leave_no_zombies() -> None:
    found = run("""
import subprocess
children = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
print(len(lineage.end_descendants()))
import psutil
print(psutil.Process().children())
""")
    assert found == ["3", "[]"]


COUNTING = """
import mmap, struct
counter = mmap.mmap(-1, 8)
def count():
    return struct.unpack("q", counter[:])[0]
if os.fork() == 0:
    held = bytearray(200 << 20)
    while True:
        counter[:] = struct.pack("q", count() + 1)
while not count():
    time.sleep(0.01)
ended = lineage.end_descendants(wait=False)
before = count()
time.sleep(0.1)
print(len(ended), count() - before)
lineage.end_descendants()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("reaped")
"""


def test_none_does_anything_any_more_where_only_their_memory_is_not_waited_for() -> None:
    assert run(COUNTING) == ["1", "0", "reaped"]


def test_a_process_leaves_once_none_of_its_threads_goes_on() -> None:
    found = run("""
import ctypes, threading
open("/proc/self/comm", "w").write("a) R 1 (b")
children = []
def start(what):
    children.append(os.fork())
    if children[-1] == 0:
        what()
def exit_alone():
    threading.Thread(target=sleeping).start()
    exit_thread = 60 if os.uname().machine == "x86_64" else 93
    ctypes.CDLL(None).syscall(exit_thread, 0)
start(sleeping)
start(exit_alone)
start(lambda: os._exit(0))
os.waitid(os.P_PID, children[2], os.WEXITED | os.WNOWAIT)
while "Z" not in open(f"/proc/{children[1]}/stat").read().rpartition(")")[2]:
    time.sleep(0.01)
print(*map(lineage._leaves, children))
print(len(lineage.end_descendants()))
""")
    assert found == ["False", "False", "True", "2"]


def test_more_children_are_found_than_a_page_lists() -> None:
    found = run("""
children = []
for _ in range(1000):
    children.append(os.fork())
    if children[-1] == 0:
        sleeping()
listed = lineage.read_quickly(f"/proc/self/task/{os.getpid()}/children")
print(len(listed) > 4096, lineage.descendants(os.getpid()) == children)
print(len(lineage.end_descendants()))
""")
    assert found == ["True", "True", "1000"]


def test_descendants_are_found_where_the_kernel_keeps_no_list() -> None:
    found = run("""
import subprocess
def unreadable(path):
    raise OSError("no such file")
lineage.read_quickly = unreadable
child = subprocess.Popen(["sleep", "60"])
print(lineage.end_descendants() == (child.pid,))
""")
    assert found == ["True"]


DEATH = """
from interp_bench.harness.isolation import sandbox
walls = sandbox.prepare()
read, write = os.pipe()
middle = os.fork()
if middle == 0:
    parent = os.getpid()
    if os.fork() == 0:
        {call}
        sandbox.raise_walls(walls)
        os.write(write, f"{{os.getpid()}}\\n".encode())
        sleeping()
    time.sleep(60)
pid = int(os.read(read, 100))
os.kill(middle, signal.SIGKILL)
print(pid)
"""


def test_a_process_dies_with_its_parent_behind_walls_too() -> None:
    [pid] = run(DEATH.format(call="lineage.die_with_parent(parent)"))
    assert gone(int(pid))


def test_a_process_outlives_its_parent_otherwise() -> None:
    [pid] = run(DEATH.format(call="pass"))
    try:
        assert psutil.pid_exists(int(pid))
    finally:
        psutil.Process(int(pid)).kill()


def test_a_process_whose_parent_was_gone_before_dies_at_once() -> None:
    found = run("""
child = os.fork()
if child == 0:
    lineage.die_with_parent(os.getppid() + 1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert found == ["-9"]


MEMORY = """
from interp_bench.harness.isolation import dumping, privileges
if os.getuid() == 0:
    # Whoever holds fewer capabilities than another may not look into it in any case.
    privileges.drop_all()
{call}
me = os.getpid()
child = os.fork()
if child == 0:
    dumping.show_memory()
    try:
        open(f"/proc/{{me}}/mem", "rb").close()
        os._exit(0)
    except PermissionError:
        os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("pass", "0"),
        ("assert dumping.hide_memory()", "3"),
        ("assert dumping.hide_memory() and dumping.show_memory()", "0"),
    ],
)
def test_hidden_memory_cannot_be_opened_by_a_process_of_the_same_user(call: str, status: str) -> None:
    assert run(MEMORY.format(call=call)) == [status]
