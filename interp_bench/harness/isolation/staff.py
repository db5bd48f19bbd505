"""The processes of isolation as the harness holds them: one nursery, and one keeper at a time."""

from __future__ import annotations

import atexit
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from interp_bench.errors import IsolationError
from interp_bench.harness.isolation import answers
from interp_bench.harness.isolation.job import Ending, Job
from interp_bench.harness.isolation.keeper import ENDED, READY, REFUSED, Settings
from interp_bench.harness.isolation.nursery import EXPECT, HELLO, KEEP
from interp_bench.harness.isolation.packing import Parcel
from interp_bench.harness.isolation.scratch import remove
from interp_bench.harness.isolation.wire import Hangup, Message, receive, send
from interp_bench.harness.isolation.worker import ANSWER, JOB

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_", "TZ", "TMPDIR", "VIRTUAL_ENV", "XDG_", "MPL",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "KMP_", "CUDA_", "NVIDIA_",
    "CUBLAS_", "NCCL_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_", "TRITON_", "HF_", "TRANSFORMERS_", "TIMM_",
)  # fmt: skip
"""Beginnings of the names of environment variables that workers get; all others stay with the harness."""

_OF_ITS_OWN = {
    # The order of sets of strings would differ from run to run.
    "PYTHONHASHSEED": "0",
    # The allocator of pyarrow, which pandas imports, would start a thread.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # With all memory in huge pages a fork takes a third of the time, for it copies tables of pages.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

_SECRETIVE = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY")
_START = 300.0
_GRACE = 180.0
_CODE = "from interp_bench.harness.isolation.nursery import main; main({descriptor}, {parent})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How a job ended, and the bytes of the answer where there is one."""

    ending: Ending
    answer: bytes = b""


_NURSERIES: dict[tuple[str, ...], Nursery] = {}


def the_nursery(packages: Sequence[str]) -> Nursery:
    """Return the nursery of this process; one serves all its runs."""
    return _NURSERIES.setdefault(tuple(packages), Nursery(packages))


class Nursery:
    """The warm process that keepers are forked from; started when it is first needed.

    Args:
        packages: packages whose modules it imports beforehand.
    """

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = tuple(packages)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._log: IO[bytes] | None = None
        self._folder = ""
        self._greeted = False
        self._expected: set[str] = set()

    def start(self) -> None:
        """Start the process, unless it runs; it gets ready while the caller does something else."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(_START)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        # Folders of keepers and workers lie in it, for a keeper that is killed cannot remove its own.
        self._folder = tempfile.mkdtemp(prefix="interp-bench-")
        code = _CODE.format(descriptor=theirs.fileno(), parent=os.getpid())
        path = [entry or os.getcwd() for entry in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {code}"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[theirs.fileno()],
            env=environment() | {"TMPDIR": self._folder},
            start_new_session=True,
        )
        theirs.close()
        send(self._channel, HELLO, {"path": path, "packages": list(self._packages)})
        self._greeted, self._expected = False, set()
        atexit.register(self.close)

    def expect(self, modules: Sequence[str]) -> None:
        """Let it import modules that parcels will need, while the caller does something else."""
        self.start()
        assert self._channel is not None
        new = [name for name in modules if name not in self._expected]
        if new:
            self._expected.update(new)
            # One that has died is started anew when a keeper is wanted.
            with suppress(Hangup):
                send(self._channel, EXPECT, {"modules": new})

    def keeper(self, parcel: Parcel | None, settings: Settings, *, accelerated: bool = False) -> KeeperHandle:
        """Return a keeper of what a parcel holds; of nothing without one.

        Raises:
            IsolationError: the nursery does not start.
        """
        asked = {
            "modules": list(parcel.modules) if parcel else [],
            "files": dict(parcel.files) if parcel else {},
            "settings": {"hidden": settings.hidden},
            "environment": {name: os.environ[name] for name in _THREADS if name in os.environ},
            "accelerated": accelerated,
        }
        segments = [segment.descriptor for segment in parcel.segments] if parcel else []
        try:
            return self._keeper(asked, segments)
        except Hangup:
            # Somebody may have ended the process while it had nothing to do: one is started anew.
            self.close()
        try:
            return self._keeper(asked, segments)
        except Hangup as error:
            text = self._last_words()
            self.close()
            raise IsolationError(f"the process that starts workers died{text}") from error

    def _keeper(self, asked: dict[str, Any], segments: list[int]) -> KeeperHandle:
        self.start()
        ours, theirs = socket.socketpair()
        try:
            self._await_hello()
            assert self._channel is not None
            send(self._channel, KEEP, asked, [theirs.fileno(), *segments])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return KeeperHandle(ours)

    def close(self) -> None:
        """End the process, and all that it started."""
        atexit.unregister(self.close)
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            if not self._greeted:
                # It imports, has forked nobody yet, and would see only afterwards that it is not wanted.
                self._process.kill()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()
        if self._folder:
            remove(self._folder)
        self._channel, self._process, self._log, self._folder = None, None, None, ""

    def _await_hello(self) -> None:
        assert self._channel is not None
        if not self._greeted:
            receive(self._channel)
            self._greeted = True

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1][:300]}" if lines else ""


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")


class KeeperHandle:
    """A keeper, seen from the harness; it may still be getting ready.

    Args:
        channel: to the keeper.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._ready = False

    def wait(self) -> None:
        """Wait until it is ready.

        Raises:
            IsolationError: it does not get ready.
        """
        if self._ready:
            return
        self._channel.settimeout(_START)
        try:
            message = receive(self._channel)
        except Hangup as error:
            self._channel.close()
            raise IsolationError("the process that holds the problem died while it was made") from error
        if message.kind != READY:
            self._channel.close()
            assert message.kind == REFUSED
            raise IsolationError(
                f"the problem does not reach a worker: {message.body.decode(errors='replace')}"
            )
        self._ready = True

    @property
    def alive(self) -> bool:
        """Whether it listens; only to be asked between jobs, when it has nothing to say.

        Raises:
            IsolationError: it does not get ready.
        """
        self.wait()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def do(self, job: Job) -> Reply | None:
        """Have a job done; None when the keeper itself came to its end over it.

        Raises:
            IsolationError: it does not get ready.
        """
        self.wait()
        # The keeper ends a worker that is late; this is for one that was stopped itself.
        self._channel.settimeout(job.limits.seconds + _GRACE)
        try:
            send(self._channel, JOB, job.as_json())
            message = receive(self._channel)
            assert message.kind == ENDED
            ending = Ending.model_validate_json(message.body)
            answer = self._answer() if ending.answered else b""
        except (Hangup, ValueError):
            self.close()
            return None
        return Reply(ending=ending, answer=answer)

    def _answer(self) -> bytes:
        message: Message = receive(self._channel, limit=answers.MOST_BYTES * 2)
        assert message.kind == ANSWER
        return message.body

    def close(self) -> None:
        """End the keeper; return when it is gone, so that shared weights may change."""
        try:
            self._channel.shutdown(socket.SHUT_WR)
            self._channel.settimeout(10.0)
            while self._channel.recv(1 << 16):
                pass
        except OSError:
            pass
        self._channel.close()


def environment() -> dict[str, str]:
    """Return the environment that workers get."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PASSED_ON) and not any(word in name for word in _SECRETIVE)
    }
    return passed | _OF_ITS_OWN
