"""The keeper: holds one problem, forks a worker for each trial, watches it, and ends what it leaves."""

from __future__ import annotations

import gc
import os
import select
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from interp_bench.harness.isolation import answers
from interp_bench.harness.isolation.gauge import Gauge, given_bytes
from interp_bench.harness.isolation.inbox import Inbox, wipe
from interp_bench.harness.isolation.job import Ending, Job
from interp_bench.harness.isolation.lineage import (
    adopt_orphans,
    descendants,
    die_with_parent,
    end_descendants,
    kill,
    kill_slowly,
    reap,
)
from interp_bench.harness.isolation.pages import small_pages
from interp_bench.harness.isolation.sandbox import Walls, prepare, raise_walls
from interp_bench.harness.isolation.scratch import Scratch, remove
from interp_bench.harness.isolation.signpost import look_around
from interp_bench.harness.isolation.wire import Hangup, receive, send
from interp_bench.harness.isolation.worker import (
    ANSWER,
    JOB,
    LOST,
    REPORT,
    STARTED,
    STOPPED,
    Show,
    close_others,
    standard_streams,
    work,
)

READY, ENDED, REFUSED = b"K", b"E", b"F"
"""Kinds of messages from a keeper to the harness."""

_CLEAN = (b'"status":"ok"', b'"status":"skipped"')
_LOOK = 0.01
"""Seconds between two looks at a worker's memory."""

_TAIL = 8_000
_CHUNK = 1 << 20
_LONGEST_REPORT = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a keeper treats its workers.

    Attributes:
        hidden: files and folders that workers cannot read.
        eager: whether a worker looks at its problem while it waits for a job.
    """

    hidden: tuple[str, ...] = ()
    eager: bool = False


@dataclass(slots=True, kw_only=True)
class _Child:
    """A worker, seen from its keeper."""

    pid: int
    channel: socket.socket
    output: int
    scratch: Scratch
    walls: Walls
    jobs: list[Job]

    def close(self) -> None:
        self.channel.close()
        os.close(self.output)
        self.walls.close()
        remove(self.scratch.folder)


class Keeper:
    """Serves the jobs of one problem.

    Args:
        channel: to the harness.
        show: returns what techniques see.
        settings: how workers are treated.
    """

    def __init__(self, channel: socket.socket, show: Show, settings: Settings) -> None:
        self._channel = channel
        self._show = show
        self._settings = settings
        self._worker: _Child | None = None
        self._killed: _Child | None = None
        self._given = given_bytes()
        self._folder = tempfile.mkdtemp(prefix="interp-bench-")

    def serve(self) -> None:
        """Do the jobs that the harness sends, until it closes the channel."""
        try:
            self._worker = self._fork()
            send(self._channel, READY)
            while True:
                self._do(Job.of(receive(self._channel).json()))
                # Here, where no frame above holds a past job: a worker sees all that is in them.
                self._worker = self._worker or self._fork()
                self._bury()
        except Hangup:
            return
        finally:
            end_descendants(wait=False)
            # Nothing looks at the weights any more; that memory is given back need not be waited for.
            self._channel.close()
            end_descendants()
            remove(self._folder)

    def _do(self, job: Job) -> None:
        worker = self._worker
        if worker is not None and any(not job.owner or job.owner != past.owner for past in worker.jobs):
            # No owner finds in a worker what techniques of others answered.
            self._end(worker)
            worker = None
        self._worker = worker = worker or self._fork()
        worker.jobs.append(job)
        watch = _Watch(worker, job, self._channel, self._given)
        try:
            kept = self._followed(watch, worker)
        finally:
            watch.close()
        if kept:
            end_descendants(keep=(worker.pid,))
            return
        # It takes as long to go as another to come, so that one is forked meanwhile.
        worker.jobs.clear()
        self._worker, self._killed = None, worker

    def _bury(self) -> None:
        """See a killed worker out, with all that it started."""
        killed, self._killed = self._killed, None
        if killed is not None:
            reap(killed.pid)
            end_descendants(keep=(self._worker.pid,) if self._worker else ())
            killed.close()

    def _followed(self, watch: _Watch, worker: _Child) -> bool:
        """Tell the harness what comes of a job; return whether its worker stays."""
        ending = watch.run()
        kept = bool(watch.job.owner) and ending.how == "answered" and watch.clean and not ending.left
        if not kept:
            # Nothing of it may touch the machine while the answer is graded.
            kill(worker.pid)
        send(self._channel, ENDED, ending.model_dump_json().encode())
        if ending.answered and watch.answer is not None:
            send(self._channel, ANSWER, watch.answer)
        return kept

    def _end(self, worker: _Child) -> None:
        kill(worker.pid)
        reap(worker.pid)
        end_descendants()
        worker.close()

    def _fork(self) -> _Child:
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        scratch = tempfile.mkdtemp(dir=self._folder)
        walls = prepare(hidden=[Path(path) for path in self._settings.hidden], writable=[Path(scratch)])
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _live(lambda: self._work(theirs, writing, scratch, walls, parent))
        theirs.close()
        os.close(writing)
        os.set_blocking(reading, False)
        ours.setblocking(False)
        return _Child(pid=pid, channel=ours, output=reading, scratch=Scratch(scratch), walls=walls, jobs=[])

    def _work(self, channel: socket.socket, output: int, scratch: str, walls: Walls, parent: int) -> None:
        """Become a worker."""
        os.setsid()
        die_with_parent(parent)
        standard_streams(output)
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        raise_walls(walls)
        close_others(channel.fileno())
        work(channel, self._show, eager=self._settings.eager)


class _Watch:
    """Follows one worker through one job."""

    def __init__(self, worker: _Child, job: Job, harness: socket.socket, given: int) -> None:
        self._worker = worker
        self.job = job
        self._harness = harness
        self._inbox = Inbox({REPORT: _LONGEST_REPORT, ANSWER: answers.MOST_BYTES + _LONGEST_REPORT})
        self._given = given
        self._before = Gauge(worker.pid, self._given)
        self._gauge: Gauge | None = None
        self._written = 0
        self._tail = b""
        self._report: bytearray | None = None
        self._open = True
        self._buffer = bytearray(_CHUNK)
        self.answer: bytearray | None = None

    @property
    def clean(self) -> bool:
        """Whether the worker found nothing wrong."""
        return self._report is not None and any(status in self._report for status in _CLEAN)

    def close(self) -> None:
        """Let go of what is held, and forget the answer: whoever is forked next would find it."""
        for gauge in (self._before, self._gauge):
            if gauge is not None:
                gauge.close()
        self._inbox.wipe()
        for held in (self._buffer, self.answer, self._report):
            wipe(held or bytearray())

    def run(self) -> Ending:
        """Send the job, and return how it ended.

        Raises:
            Hangup: the harness is gone.
        """
        self._worker.channel.setblocking(True)
        try:
            send(self._worker.channel, JOB, self.job.as_json())
        except Hangup:
            self._open = False
        self._worker.channel.setblocking(False)
        how = self._follow()
        self._read_output()
        pid = self._worker.pid
        left = len(descendants(os.getpid(), keep=(pid,))) + len(descendants(pid))
        return self._ending(how, left)

    def _follow(self) -> str:
        poll = select.poll()
        poll.register(self._worker.channel, select.POLLIN)
        poll.register(self._worker.output, select.POLLIN)
        poll.register(self._harness, select.POLLHUP | select.POLLRDHUP)
        begun = time.monotonic()
        deadline = begun + self.job.limits.seconds + self.job.limits.around_seconds
        while self._open:
            for descriptor, event in poll.poll(_LOOK * 1000):
                if descriptor == self._harness.fileno():
                    raise Hangup("the harness is gone")
                if descriptor == self._worker.output:
                    self._read_output()
                    if event & select.POLLHUP and not event & select.POLLIN:
                        poll.unregister(self._worker.output)
                else:
                    self._read_messages()
            if self._finished:
                return "answered"
            if time.monotonic() > deadline or self._late:
                return "time"
            if excess := self._excess():
                return excess
        return "garbled" if self._inbox.broken else "died"

    def _excess(self) -> str:
        """Return what the worker takes too much of, or an empty string."""
        limits, gauge = self.job.limits, self._gauge or self._before
        if self._written > limits.output_bytes:
            return "output"
        if gauge.look() > limits.memory_bytes:
            return "memory"
        if gauge.processes > limits.processes:
            return "processes"
        return "disk" if self._worker.scratch.look() > limits.disk_bytes else ""

    @property
    def _finished(self) -> bool:
        return self._report is not None and (self.answer is not None or b'"answered":false' in self._report)

    @property
    def _late(self) -> bool:
        running = self._gauge is not None and self._gauge.seconds == 0.0
        return running and self._gauge.running > self.job.limits.seconds  # type: ignore[union-attr]

    def _read_messages(self) -> None:
        try:
            size = self._worker.channel.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self._open = size > 0
        for kind, body in self._inbox.take(memoryview(self._buffer)[:size]):
            if kind == STARTED and self._gauge is None:
                self._gauge = Gauge(self._worker.pid, self._given)
            elif kind == STOPPED and self._gauge is not None:
                self._gauge.stop()
            elif kind == REPORT:
                self._report = body
            elif kind == ANSWER:
                wipe(self.answer or bytearray())
                self.answer = body
        self._open = self._open and not self._inbox.broken

    def _read_output(self) -> None:
        while True:
            try:
                data = os.read(self._worker.output, _CHUNK)
            except (BlockingIOError, OSError):
                return
            if not data:
                return
            self._written += len(data)
            self._tail = (self._tail + data)[-_TAIL:]
            if self._written > self.job.limits.output_bytes:
                return

    def _ending(self, how: str, left: int) -> Ending:
        gauge, code = self._gauge, 0
        if how == "died":
            kill_slowly(self._worker.pid)
            code = reap(self._worker.pid)
        if gauge is not None and gauge.seconds == 0.0:
            gauge.stop()
        return Ending.model_validate(
            {
                "how": how,
                "code": code,
                "called": gauge is not None,
                "answered": how == "answered" and self.answer is not None,
                "seconds": gauge.seconds if gauge else 0.0,
                "cpu_seconds": gauge.cpu_seconds if gauge else 0.0,
                "peak_bytes": gauge.peak_bytes if gauge else 0,
                "left": left,
                "output": self._tail.decode(errors="replace"),
                "report": (self._report or b"").decode(errors="replace"),
            }
        )


def keep(channel: socket.socket, load: Callable[[], Show], settings: Settings) -> NoReturn:
    """Be a keeper until the harness closes the channel, then end this process.

    Args:
        channel: to the harness.
        load: returns how workers get what techniques see.
        settings: how workers are treated.
    """

    def live() -> None:
        adopt_orphans()
        small_pages()
        try:
            show = load()
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            send(channel, REFUSED, text.encode())
            return
        look_around()
        # What lives now stays until the end, so that no collection touches (and copies) its pages.
        gc.collect()
        gc.freeze()
        Keeper(channel, show, settings).serve()

    _live(live)


def _live(life: Callable[[], None]) -> NoReturn:
    """Run what a forked process is for, and end it without what its parent meant to do at its end."""
    code = LOST
    try:
        life()
        code = 0
    except Hangup:
        pass
    finally:
        os._exit(code)
