"""Calls techniques in workers, and says of each how it ended."""

from __future__ import annotations

import re
import signal
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from interp_bench.errors import ContractError, InterpBenchError, IsolationError
from interp_bench.harness.attending import Attended
from interp_bench.harness.calling import Show
from interp_bench.harness.faults import Fault, fault_of, printable, shortened
from interp_bench.harness.grid import Cell
from interp_bench.harness.isolation import answers
from interp_bench.harness.isolation.job import Ending, Job, Report, Source
from interp_bench.harness.isolation.keeper import Settings
from interp_bench.harness.isolation.loading import source_of
from interp_bench.harness.isolation.packing import Home, pack
from interp_bench.harness.isolation.staff import KeeperHandle, Nursery, Reply
from interp_bench.harness.isolation.worker import LOST
from interp_bench.harness.limits import Limits
from interp_bench.harness.meter import Cost
from interp_bench.harness.problems import row_problem
from interp_bench.harness.sight import Sight
from interp_bench.harness.trial import Status
from interp_bench.registry.spec import ModelSpec

_MIB = 2**20
_OWN = "interp_bench.techniques."
_SHOWN_OUTPUT = 2000
_MODULES = re.compile(r"^Extension modules: .*$\n?", re.MULTILINE)


class Isolated:
    """Calls each technique in a worker.

    Args:
        nursery: starts the processes.
        limits: of each trial.
        warm: whether a worker stays for the next trial of a stranger's source too, as it does for the
            techniques of this package; an accelerator always has it so.
        hidden: files and folders that workers cannot read.
        libraries: returns the modules that opening a model imports for seconds.
    """

    def __init__(
        self,
        nursery: Nursery,
        limits: Limits,
        *,
        warm: bool = False,
        hidden: Sequence[Path] = (),
        libraries: Callable[[ModelSpec], Sequence[str]] = lambda spec: (),
    ) -> None:
        self._nursery = nursery
        self._limits = limits
        self._warm = warm
        self._hidden = tuple(str(path) for path in hidden)
        self._libraries = libraries
        self._keeper: KeeperHandle | None = None
        self._held: tuple[object, ...] = ()
        self._home: tuple[weakref.ref[nn.Module], Home] | None = None

    def prepare(self, cell: Cell) -> None:
        """Let the nursery get ready while a model is opened, and a problem planted in it."""
        self._nursery.expect(self._libraries(cell.spec))

    def foresee(self, cell: Cell, sight: Sight) -> None:
        """Let a keeper of the planted problem get ready while guesses at it are scored."""
        if not cell.control:
            # Whatever is wrong shows again, and is told, when a technique is called.
            with suppress(IsolationError):
                self._hold(cell, sight)

    def call(self, cell: Cell, show: Show) -> Attended:
        """Call the technique of a cell in a worker.

        Raises:
            IsolationError: no worker can be had.
        """
        technique = cell.row.technique
        assert technique is not None
        if self._keeper is None or self._held != (*cell.problem, cell.control) or not self._keeper.alive:
            with show() as sight:
                self._hold(cell, sight)
        assert self._keeper is not None
        source = source_of(technique)
        job = Job(
            do="call",
            source=source,
            technique=technique.id,
            seed=self._seed_of(cell),
            owner=self._owner_of(source),
            limits=self._limits,
        )
        reply = self._keeper.do(job)
        if reply is None:
            self.forget()
            reason = "the process that watches workers came to its end during the call"
            return Attended(fault=Fault(status="crashed", reason=reason))
        return attended_from(reply, cell, self._limits)

    def forget(self) -> None:
        """End the keeper, so that the planted weights may change."""
        if self._keeper is not None:
            self._keeper.close()
        self._keeper, self._held = None, ()

    def close(self) -> None:
        """End the keeper; the nursery goes on, for it serves the next run in this process too."""
        self.forget()
        if self._home is not None:
            self._home[1].close()
        self._home = None

    def _hold(self, cell: Cell, sight: Sight) -> None:
        self.forget()
        model = sight.problem.model
        accelerated = model.device.type != "cpu"
        self._problem = sight.problem
        home = None if cell.control or accelerated else self._home_of(model.module)
        try:
            parcel = pack(sight, home)
        except Exception as error:
            raise IsolationError(
                f"the problem of task {cell.task.id} cannot go to a worker ({type(error).__name__}: {error})"
                "; mend the task, or run with --bench-isolate=none"
            ) from error
        self._accelerated = accelerated
        settings = Settings(hidden=self._hidden)
        try:
            self._keeper = self._nursery.keeper(parcel, settings, accelerated=accelerated)
        finally:
            parcel.close()
        self._held = (*cell.problem, cell.control)

    def _home_of(self, module: nn.Module) -> Home:
        """Return the shared memory that the weights live in, moved there the first time."""
        if self._home is None or self._home[0]() is not module:
            if self._home is not None:
                self._home[1].close()
            self._home = (weakref.ref(module), Home.of(module))
        return self._home[1]

    def _owner_of(self, source: Source) -> str:
        """Return who shares a worker with a source: the package trusts itself, and strangers nobody."""
        if not source.file and source.module.startswith(_OWN):
            return _OWN
        # What computes on an accelerator takes seconds to get there, so it has to stay.
        return f"{source.module} {source.file}" if self._warm or self._accelerated else ""

    def _seed_of(self, cell: Cell) -> int:
        return row_problem(cell, self._problem).seed


def attended_from(reply: Reply, cell: Cell, limits: Limits) -> Attended:
    """Return what came of a call, from what keeper and worker say of it."""
    ending = reply.ending
    attended = Attended(
        cost=Cost(
            seconds=max(0.0, ending.seconds),
            cpu_seconds=max(0.0, ending.cpu_seconds),
            peak_memory_mb=ending.peak_bytes / _MIB,
        )
    )
    fault = stopped(ending, limits)
    if fault is None:
        fault = _as_reported(reply, cell, attended, limits)
    attended.fault = fault
    if fault is not None:
        attended.answer = None
    return attended


def stopped(ending: Ending, limits: Limits) -> Fault | None:
    """Return why a worker did not come to report, or None when it did."""
    status: Status = "failed"
    match ending.how:
        case "answered":
            return None
        case "time":
            status, reason = "timed_out", f"took longer than {limits.seconds:g} s (--bench-timeout)"
            if not ending.called:
                reason = f"its module took longer than {limits.seconds + limits.around_seconds:g} s to import"
        case "memory":
            status = "out_of_memory"
            reason = f"took more than {limits.memory_bytes / 2**30:.3g} GiB (--bench-memory)"
        case "output":
            reason = f"wrote more than {limits.output_bytes / _MIB:.0f} MiB to its standard output and error"
        case "processes":
            reason = f"had more than {limits.processes} processes running"
        case "disk":
            reason = f"wrote more than {limits.disk_bytes / _MIB:,.0f} MiB of temporary files"
        case "garbled":
            status, reason = "crashed", "wrote to file descriptors that it did not open"
        case "died":
            status, reason = "crashed", _death(ending.code)
    return Fault(status=status, reason=reason, trace=last_words(ending.output))


def last_words(output: str) -> str:
    """Return the end of what a worker wrote, without the list of modules of ``faulthandler``."""
    return printable(_MODULES.sub("", output)[-_SHOWN_OUTPUT:].strip())[-_SHOWN_OUTPUT:]


def _death(code: int) -> str:
    if code == LOST:
        return "its worker could not report: file descriptors that it did not open were closed, or the like"
    if code >= 0:
        return f"ended its process with exit status {code} before it answered"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = {"SIGKILL": " (somebody, or the system for want of memory)", "SIGSEGV": " (invalid memory access)"}
    return f"its process was ended by {name}{hint.get(name, '')}"


def _as_reported(reply: Reply, cell: Cell, attended: Attended, limits: Limits) -> Fault | None:
    ending = reply.ending
    try:
        report = Report.model_validate_json(ending.report)
    except ValidationError as error:
        text = error.errors()[0]["msg"]
        return Fault(status="crashed", reason=f"its worker reported nonsense ({text})")
    attended.warnings = Counter(report.warnings)
    attended.cost = Cost(
        seconds=attended.cost.seconds,
        cpu_seconds=attended.cost.cpu_seconds,
        peak_memory_mb=attended.cost.peak_memory_mb + report.accelerator_bytes / _MIB,
        forwards=report.forwards,
        backwards=report.backwards,
    )
    if report.status != "ok":
        trace = printable(report.trace) or last_words(ending.output)
        reason = shortened(report.reason)
        if report.status == "out_of_memory" and cell.device == "cpu":
            reason += f"; it may take {limits.memory_bytes / 2**30:.3g} GiB (--bench-memory)"
        return Fault(status=report.status, reason=reason, trace=trace)
    if ending.left:
        many = "process" if ending.left == 1 else "processes"
        return fault_of(ContractError(f"left {ending.left} {many} running; wait for them, or end them"), "")
    try:
        device = "cpu" if cell.device == "cpu" else cell.device
        attended.answer = answers.decode(reply.answer, cell.task.track.answer_type, device)
    except InterpBenchError as error:
        return fault_of(error, "")
    return None
