"""A benchmark session: hooks that collect, run, store and summarise the trials of ``pytest --bench``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from interp_bench.errors import InterpBenchError, StoreError, one_line
from interp_bench.harness import models
from interp_bench.harness.estimate import Timings
from interp_bench.harness.folders import TASK_FILES
from interp_bench.harness.grid import Cell
from interp_bench.harness.isolation.lineage import die_with_parent
from interp_bench.harness.provenance import provenance
from interp_bench.harness.recording import record
from interp_bench.harness.runner import Runner
from interp_bench.harness.seed_secret import forget_variable
from interp_bench.harness.store import Store
from interp_bench.harness.threads import thread_count
from interp_bench.harness.trial import STATUSES, Provenance, Status, Trial
from interp_bench.plugin.arrival import Handed
from interp_bench.plugin.comparing import Compared, compared
from interp_bench.plugin.executor import Executor, read_choice
from interp_bench.plugin.following import hand_over, handed_to, places_of, set_threads, settle
from interp_bench.plugin.isolating import begin, caller, described
from interp_bench.plugin.items import BenchFile, BenchItem, conclude
from interp_bench.plugin.options import Options, read_options
from interp_bench.plugin.plan import Plan
from interp_bench.plugin.progress import Progress
from interp_bench.plugin.ray_run import RayRun

STORE_FAILED = 74
"""Exit status of a run that ended since its store could not be written, the system's for such errors."""

_SHOWN = 12


def switch_on(config: pytest.Config) -> None:
    """Plan the run and register the session's hooks; in a worker, follow the controller's plan.

    Raises:
        pytest.UsageError: anything that the user has to mend; pytest prints it and exits with 4.
    """
    options = read_options(config)
    handed = handed_to(config)
    if "workerid" in getattr(config, "workerinput", {}):
        # One of xdist: it gives what it runs fifteen seconds more when its controller is gone.
        die_with_parent(os.getppid())
    distributed = getattr(config.option, "dist", "no") != "no"
    cluster = read_choice(options, distributed=distributed) if handed is None else None
    workers = handed.workers if handed else cluster.local_workers if cluster else _workers(config)
    threads = set_threads(config, handed.threads if handed else thread_count(workers))
    # A technique may warn; a project's "warnings are errors" is meant for its own code. The last
    # filter wins.
    config.addinivalue_line("filterwarnings", "default")
    config.addinivalue_line("python_files", TASK_FILES)
    computes = (handed is not None or not distributed) and cluster is None
    if computes and not (config.option.collectonly or options.explain):
        begin(options)
    try:
        plan = settle(config, options, handed)
        threads.apply()
        session = BenchSession(config, plan, threads.threads, writes=handed is None, at_a_time=workers)
    except InterpBenchError as error:
        raise pytest.UsageError(one_line(str(error))) from error
    config.pluginmanager.register(session, "interp_bench_session")
    if handed is None:
        _distribute(config, options, plan, session)
    if getattr(config.option, "dist", "no") == "no" and cluster is None:
        # Whoever starts workers runs no technique, and hands the variable on to them.
        forget_variable(options.seed_secret)
    if cluster is not None:
        session.executor = RayRun(session, cluster, threads.threads)
        config.pluginmanager.register(session.executor, "interp_bench_ray")


class BenchSession:
    """The hooks of one process.

    The process that the user started writes to the store; xdist's workers send their trials to it
    with pytest's reports.

    Args:
        config: pytest's.
        plan: what is run.
        threads: intra-op threads of this process.
        writes: whether this process writes to the store.
        at_a_time: how many trials run at a time on this machine.

    Attributes:
        plan: what is run.
        executor: what items get their trials from.
        runner: runs cells in this process; the executor unless there is another.
        workers: processes that compute at the same time.
    """

    def __init__(
        self, config: pytest.Config, plan: Plan, threads: int, *, writes: bool, at_a_time: int
    ) -> None:
        self._config = config
        self.plan = plan
        self.workers = 1
        self._threads = threads
        self._writes = writes
        self._trials: list[Trial] = []
        self._kept: set[str] = set()
        self._reused = 0
        self._compared: Compared | None = None
        self._progress: Progress | None = None
        self.runner = Runner(
            opener=models.MODELS.open,
            run=plan.run,
            provenance=self._provenance,
            caller=caller(plan.options, places_of(config), workers=at_a_time),
        )
        self.executor: Executor = self.runner
        if writes and not (config.option.collectonly or plan.options.explain):
            self._store.require_writable()

    @cached_property
    def _store(self) -> Store:
        """The file of trials, which a worker on another machine never opens."""
        return Store.open(self.plan.store)

    # ------------------------------------------------------------ collection
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out every file that holds no tasks: ordinary tests are not run."""
        return True if collection_path.is_file() and not collection_path.match(TASK_FILES) else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> BenchFile | None:
        """Collect a file of tasks."""
        if not module_path.match(TASK_FILES):
            return None
        return BenchFile.make(parent, module_path, self.plan.cells_of(module_path.resolve()), self._execute)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Bring the items into running order: one model at a time, each problem in one go."""
        order = {cell.key: index for index, cell in enumerate(self.plan.cells)}
        items.sort(key=lambda item: order[item.cell.key] if isinstance(item, BenchItem) else -1)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say what will be run."""
        cells = [item.cell for item in session.items if isinstance(item, BenchItem)]
        if self._writes and not self._config.option.collectonly and not self.plan.options.explain:
            self._announce(cells, workers=self.workers)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Say what will be run, once the first worker knows."""
        if self._progress is None:
            cells = [cell for cell in map(self.plan.find, ids) if cell is not None]
            self._announce(cells, workers=_workers(self._config))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the plan to a worker, so that all agree on what is stored."""
        handed = Handed(
            run=self.plan.run,
            stored=tuple(sorted(self.plan.stored)),
            threads=self._threads,
            workers=_workers(self._config),
        )
        hand_over(node.workerinput, handed)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Give each worker one model and seed at a time, unless another distribution was asked for."""
        if config.getvalue("dist") not in ("load", "loadgroup"):
            return None
        from interp_bench.plugin.scheduling import ModelScheduling

        return ModelScheduling(config, log, self.plan)

    def _announce(self, cells: Sequence[Cell], *, workers: int) -> None:
        reporter = self._reporter()
        try:
            timings = Timings(self._store.trials())
        except StoreError as error:
            pytest.exit(str(error), returncode=STORE_FAILED)
        if reporter is None or reporter.verbosity < 0:
            return
        for line in self.plan.announcement(cells, timings, workers):
            reporter.write_line(f"interp_bench: {line}")
        if reporter.verbosity == 0:
            reporter.showfspath = False
            self._progress = Progress(reporter, len(cells), self.plan.to_run(cells), timings)

    # --------------------------------------------------------------- running
    def pytest_runtestloop(self) -> bool | None:
        """Run nothing when the user only wants to know what is not run."""
        return True if self.plan.options.explain else None

    def _execute(self, item: BenchItem) -> None:
        cell, error, trace = item.cell, None, ""
        trial = self._store.get(cell.key) if self.plan.is_stored(cell) else None
        item.reused = trial is not None
        if trial is None:
            reason = self.plan.unavailable(cell)
            if reason is not None:
                trial = self.record(cell, "skipped", reason)
            else:
                outcome = self.executor.run(cell)
                trial, error, trace = outcome.trial, outcome.error, outcome.trace
        item.trial = trial
        item.user_properties.append(("status", trial.status))
        if trial.skill is not None:
            item.user_properties.append(("skill", f"{trial.skill:.6g}"))
        conclude(trial, error, self.plan.gates.failure(trial), trace=trace)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the trial on its report, which travels from a worker to the controller."""
        report = yield
        if isinstance(item, BenchItem) and call.when == "call" and item.trial is not None:
            travelling = {"key": item.cell.key, "reused": item.reused, "trial": item.trial.model_dump_json()}
            report.interp_bench = travelling  # type: ignore[attr-defined]
            report.duration = report.duration if item.seconds is None else item.seconds
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the trial of a report, in the one process that writes."""
        if self._writes:
            self._keep(report)

    def _keep(self, report: pytest.TestReport) -> None:
        sent = getattr(report, "interp_bench", None)
        cell = self.plan.find(report.nodeid)
        if cell is None:
            return
        if sent is not None:
            trial = Trial.model_validate_json(sent["trial"])
        elif report.failed and report.when not in ("setup", "teardown") and cell.key not in self._kept:
            # A worker that dies sends no trial; xdist reports the item that it was running, and once more
            # the one whose trial was its last word.
            trial = self.record(cell, "crashed", "the process that ran it died")
        else:
            return
        reused = sent is not None and sent["reused"]
        self._write(trial, reused=reused)
        self._kept.add(trial.key)
        self._reused += reused
        self._trials.append(trial)
        if self._progress is not None:
            self._progress.advance(cell, failed=report.failed)

    def _write(self, trial: Trial, *, reused: bool) -> None:
        """Write a trial to the store, or end the run: what it computed from here on would be lost too."""
        try:
            if reused:
                self._store.reuse(trial.key, self.plan.run)
            else:
                self._store.put(trial)
        except StoreError as error:
            lost = "" if reused else f"; not stored: {trial.name}"
            if _workers(self._config) > 1:
                lost += ", and what the other workers were running" if lost else ""
            pytest.exit(f"{error}{lost}", returncode=STORE_FAILED)

    def record(self, cell: Cell, status: Status, reason: str) -> Trial:
        """Return the trial of a cell that did not get as far as the runner, or died in it."""
        return record(cell, run=self.plan.run, provenance=self._provenance(), status=status, reason=reason)

    def _provenance(self) -> Provenance:
        options = self.plan.options
        return provenance(
            device=options.device, threads=self._threads, project=options.root, isolation=self._isolation
        )

    @cached_property
    def _isolation(self) -> str:
        """How techniques are kept apart; empty where they are not."""
        return described(self.plan.options)

    # ------------------------------------------------------------- reporting
    def pytest_report_header(self) -> str:
        """Say which run this is, and where it is stored."""
        options = self.plan.options
        seeds = ",".join(str(seed) for seed in self.plan.grid.seeds)
        if self.plan.grid.secret is not None:
            seeds += f" of secret {self.plan.grid.secret.commitment}"
        return (
            f"interp_bench: run {self.plan.run}, tier {options.tier}, seeds {seeds}, {options.device}, "
            f"{self._threads} thread(s) a process, {self._isolation or 'not isolated'}, "
            f"store {_short(self.plan.store, options.here)}"
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Count an item without a letter of its own where the progress line speaks for it."""
        if self._progress is None or not hasattr(report, "interp_bench"):
            return None
        return report.outcome, "", ""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print counts by status, the table, and what changed since the run that is compared with."""
        if self.plan.options.explain:
            return self._explain(terminalreporter)
        if self._trials and terminalreporter.verbosity >= -1:
            self._tables(terminalreporter)
        for failure in self._compared.failures if self._compared else ():
            terminalreporter.write_line(f"FAILED: {failure}", red=True)
        return None

    def _tables(self, terminalreporter: pytest.TerminalReporter) -> None:
        from interp_bench.board.terminal import summary

        terminalreporter.section("interp_bench")
        terminalreporter.write_line(self._counts())
        terminalreporter.write_line("")
        terminalreporter.write_line(summary(self._trials))
        if self._compared is not None:
            terminalreporter.write_line("")
            terminalreporter.write_line(self._compared.text)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let go of the model, compare, and leave the words for outcomes to pytest's own summary."""
        self._progress = None
        self.runner.close()
        self.executor.close()
        if self._writes and self._trials:
            self._compared = compared(self.plan, self._trials)
        if self._compared is not None and self._compared.failures and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Close the store."""
        if "_store" in self.__dict__:
            self._store.close()

    def _counts(self) -> str:
        counts = Counter(trial.status for trial in self._trials)
        parts = [f"{counts[status]} {status.replace('_', ' ')}" for status in STATUSES if counts[status]]
        text = f"{len(self._trials)} trials: {', '.join(parts)}; {self._reused} from the store"
        warned = sum((Counter(trial.warnings) for trial in self._trials), Counter())
        if warned:
            named = ", ".join(f"{number} {name}" for name, number in warned.most_common(_SHOWN))
            text += f"\nwarnings of techniques: {named}"
        return text

    def _explain(self, reporter: pytest.TerminalReporter) -> None:
        reporter.section("not run")
        reasons: dict[str, list[str]] = {}
        for absent in self.plan.grid.explain():
            reasons.setdefault(absent.reason, []).append(absent.what)
        for cell in {cell.spec.id: cell for cell in self.plan.cells}.values():
            reason = self.plan.unavailable(cell)
            if reason is not None:
                reasons.setdefault(reason, []).append(f"anything on {cell.spec.id}")
        for reason, things in reasons.items():
            reporter.write_line(f"{reason}:")
            for thing in things:
                reporter.write_line(f"    {thing}")
        if not reasons:
            reporter.write_line("everything selected is run")

    def _reporter(self) -> pytest.TerminalReporter | None:
        found: pytest.TerminalReporter | None = self._config.pluginmanager.getplugin("terminalreporter")
        return found


def _distribute(config: pytest.Config, options: Options, plan: Plan, session: BenchSession) -> None:
    """Start no workers where there is nothing to compute; else keep the order of the plan."""
    if getattr(config.option, "dist", "no") == "no":
        return
    if options.explain or not plan.to_run(plan.cells):
        # Reading the store takes less time than starting a worker.
        config.option.dist, config.option.tx = "no", []
    elif config.option.dist in ("load", "loadgroup"):
        config.option.loadscopereorder = False


def _workers(config: pytest.Config) -> int:
    """Return how many processes run trials at a time."""
    distributed = getattr(config.option, "dist", "no") != "no"
    return max(1, len(getattr(config.option, "tx", ()) or ())) if distributed else 1


def _short(path: Path, here: Path) -> str:
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
