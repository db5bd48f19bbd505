"""Processes and what they start: nobody outlives the run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection

import psutil

from interp_bench.harness.isolation.kernel import Refused, prctl

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_EXITING = 0x4
"""PF_EXITING of the kernel's include/linux/sched.h."""

_PAUSE = 0.002
_PAGE = 1 << 12


def die_with_parent(parent: int) -> bool:
    """End this process as soon as its parent ends, or now if it has; return whether the kernel does so.

    Args:
        parent: id of the process that forked this one, taken before the fork. The kernel in fact waits
            for the thread that forked: fork where a thread lives as long as its process.
    """
    try:
        prctl("death signal", _SET_DEATH_SIGNAL, signal.SIGKILL)
    except Refused:
        return False
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def adopt_orphans() -> bool:
    """Become the parent of descendants whose parent ends; return whether the kernel does so.

    Without it they go to the first process of the machine, and `end_descendants` finds them no more.
    """
    try:
        prctl("subreaper", _SET_SUBREAPER, 1)
    except Refused:
        return False
    return True


def end_descendants(
    root: int | None = None, *, keep: Collection[int] = (), seconds: float = 5.0, wait: bool = True
) -> tuple[int, ...]:
    """End every process below one, again and again until none is left; return the ids of those ended.

    Each is stopped first, so that none starts others faster than it is found. Children of the caller
    are reaped, those too that had ended before: keep what somebody still waits for.

    Args:
        root: the process below which they are, by default the caller. It is left alone.
        keep: processes that are left alone, with all below them.
        seconds: after this time it gives up.
        wait: whether to wait until they are gone altogether; otherwise until none does anything any more
            but give back its memory, which takes a worker 20 ms.
    """
    start = os.getpid() if root is None else root
    ended: dict[int, None] = {}
    deadline = time.monotonic() + seconds
    while found := [pid for pid in descendants(start, keep) if wait or not _leaves(pid)]:
        fresh = [pid for pid in found if pid not in ended]
        for pid in found:
            _send(pid, signal.SIGSTOP if pid in fresh else signal.SIGKILL)
        ended |= dict.fromkeys(fresh)
        if not fresh:
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
    return tuple(ended)


def descendants(root: int, keep: Collection[int] = ()) -> list[int]:
    """Return the processes below one that still run, parents first.

    Children of the caller that do not run any more are reaped.

    Args:
        root: the process below which they are.
        keep: processes that are left out, with all below them.
    """
    found, seen, todo = [], set(keep), [root]
    while todo:
        for pid in _children(todo.pop(0)):
            if pid not in seen:
                seen.add(pid)
                todo.append(pid)
                if not _reaped(pid):
                    found.append(pid)
    return found


def _children(pid: int) -> list[int]:
    threads = f"/proc/{pid}/task"
    try:
        lists = [read_quickly(f"{threads}/{thread}/children") for thread in os.listdir(threads)]
    except OSError:
        return _children_by_search(pid)
    return [int(child) for text in lists for child in text.split()]


def read_quickly(path: str) -> bytes:
    """Return what a small file of the kernel holds; a keeper reads dozens a second while others compute.

    Raises:
        OSError: it cannot be read.
    """
    descriptor, parts = os.open(path, os.O_RDONLY), []
    try:
        # The kernel gives no more than a page at once.
        while part := os.read(descriptor, _PAGE):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _children_by_search(pid: int) -> list[int]:
    """Return the children of a process where the kernel keeps no list, or the process is gone."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def _reaped(pid: int) -> bool:
    """Return whether a process has ended, and take its exit status if it is the caller's to take."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def _leaves(pid: int) -> bool:
    """Return whether a process is on its way out, so that none of its threads runs code of its own again."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        texts = [read_quickly(f"/proc/{pid}/task/{thread}/stat") for thread in threads]
    except OSError:
        return False
    # Its name, in brackets, may hold anything; the flags are the seventh word after it.
    return all(int(text.rpartition(b")")[2].split()[6]) & _EXITING for text in texts)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill(pid: int) -> None:
    """End a process and its group."""
    for send_signal in (os.killpg, os.kill):
        try:
            send_signal(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def kill_slowly(pid: int) -> None:
    """End a worker that has closed its channel, but leave it a moment to end by itself, for its status."""
    for _ in range(100):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.005)
    kill(pid)


def reap(pid: int) -> int:
    """Wait for the end of a child, and return its exit status; 0 where it is no child any more."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0
