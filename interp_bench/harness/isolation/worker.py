"""The worker: a fresh process that calls one technique and says what came of it."""

from __future__ import annotations

import faulthandler
import gc
import os
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from types import TracebackType

import torch

from interp_bench.errors import InterpBenchError
from interp_bench.harness.attending import Attended, attend
from interp_bench.harness.faults import Fault, fault_of, trace_of
from interp_bench.harness.isolation import answers
from interp_bench.harness.isolation.describing import describe
from interp_bench.harness.isolation.job import Job, Report
from interp_bench.harness.isolation.kernel import Refused
from interp_bench.harness.isolation.loading import function_of
from interp_bench.harness.isolation.rlimits import ProcessLimits, set_limits
from interp_bench.harness.isolation.wire import Hangup, receive, send
from interp_bench.harness.meter import Accelerator
from interp_bench.harness.sight import Sight
from interp_bench.model.handle import Model

JOB, STARTED, STOPPED, REPORT, ANSWER = b"J", b"S", b"D", b"R", b"A"
"""Kinds of messages between a worker and its keeper."""

LOST = 70
"""Exit status of a worker that could not even report."""

Show = Callable[[], Sight]


def work(channel: socket.socket, show: Show, *, eager: bool = False) -> None:
    """Do the jobs that come over a channel, until it is closed.

    Args:
        channel: to the keeper.
        show: returns what techniques see; called once a job.
        eager: whether to look at it before the first job comes.
    """
    faulthandler.enable(file=2)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    with_memory_to_spare = bytearray(1 << 20)
    if eager:
        with suppress(Exception):
            _rehearse(show())
    while True:
        try:
            job = Job.of(receive(channel).json())
        except Hangup:
            return
        try:
            report, answer = _done(channel, job, show)
        except MemoryError:
            del with_memory_to_spare
            gc.collect()
            report, answer = (
                Report(status="out_of_memory", reason="MemoryError while it answered"),
                b"",
            )
        send(channel, REPORT, report.model_dump_json().encode())
        if report.answered:
            send(channel, ANSWER, answer)


def _rehearse(sight: Sight) -> None:
    """Touch what a call of nothing touches: its pages are copied while there is time."""
    attend(lambda problem: None, sight.problem, sight, meter=nullcontext())


def _done(channel: socket.socket, job: Job, show: Show) -> tuple[Report, bytes]:
    limits = ProcessLimits(memory=job.limits.memory_bytes, file_size=job.limits.disk_bytes)
    try:
        with suppress(Refused):
            set_limits(limits)
        if job.do == "describe":
            return Report(found=tuple(describe(job.source))), b""
        return _called(channel, job, show())
    except MemoryError:
        raise
    except InterpBenchError as error:
        return _reported(
            Attended(fault=Fault(status="failed", reason=str(error), trace=trace_of(error)))
        ), b""
    except BaseException as error:  # KeyboardInterrupt and the like end this process only
        return _reported(Attended(fault=fault_of(error, ""))), b""


def _called(channel: socket.socket, job: Job, sight: Sight) -> tuple[Report, bytes]:
    call, answer_type = function_of(job)
    passes = _Passes(channel, sight.problem.model)
    problem = replace(sight.problem, seed=job.seed)
    attended = attend(call, problem, sight, meter=passes)
    answer = b""
    if attended.fault is None:
        answer = answers.encode(attended.answer, answer_type)
    return _reported(attended, passes, answered=attended.fault is None), answer


def _reported(attended: Attended, passes: _Passes | None = None, *, answered: bool = False) -> Report:
    fault = attended.fault
    return Report.model_validate(
        {
            "status": fault.status if fault else "ok",
            "reason": fault.reason if fault else "",
            # Lone surrogates in it, as of a file's odd name, are no text that goes over the wire.
            "trace": fault.trace.encode("utf-8", "backslashreplace").decode()[-20_000:] if fault else "",
            "warnings": {name[:200]: count for name, count in attended.warnings.most_common(100)},
            "accelerator_bytes": passes.accelerator_bytes if passes else 0,
            "forwards": passes.forwards if passes else 0,
            "backwards": passes.backwards if passes else 0,
            "answered": answered,
        }
    )


class _Passes:
    """Counts passes during a block, and tells the keeper when it starts and ends, who measures it."""

    def __init__(self, channel: socket.socket, model: Model) -> None:
        self._channel = channel
        self._meter = model.meter
        # Its memory is no process's, so that only who uses it can tell.
        self._accelerator = Accelerator(model.device)
        self.forwards = self.backwards = self.accelerator_bytes = 0

    def __enter__(self) -> _Passes:
        self._before = (self._meter.forwards, self._meter.backwards)
        self._accelerator.start()
        send(self._channel, STARTED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._accelerator.wait()
        send(self._channel, STOPPED)
        self.accelerator_bytes = self._accelerator.peak_bytes()
        self.forwards = self._meter.forwards - self._before[0]
        self.backwards = self._meter.backwards - self._before[1]


def close_others(kept: int) -> None:
    """Close every descriptor but the standard ones and one other."""
    os.closerange(3, kept)
    os.closerange(kept + 1, _most_descriptors())


def _most_descriptors() -> int:
    try:
        return max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    except (OSError, ValueError):
        return 4096


def standard_streams(output: int) -> None:
    """Let standard output and error go to a pipe, and standard input be empty."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, place)
