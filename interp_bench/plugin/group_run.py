"""The worker's side of a cluster: a pytest session of its own that runs one group of cells.

It is started with the arguments, in the folder and with the variables of the user's, so that it loads
the same configuration, ``conftest.py`` files, techniques and tasks as a worker of xdist would.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from interp_bench.plugin.arrival import Arrival, Assignment, Began, Post
from interp_bench.plugin.following import hand_over

if TYPE_CHECKING:
    from interp_bench.harness.grid import Cell
    from interp_bench.plugin.session import BenchSession

# They only look for what was left behind, for half a second at the end of each session.
_WITHOUT = ("unraisableexception", "threadexception")
_PREFIXES = ("INTERP_BENCH", "PYTEST_")
_OF_ONE_PROCESS = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION")
_OF_THE_USER = ("bench_executor", "bench_compare", "bench_compare_fail", "bench_min_skill")


def run_group(assignment: Assignment, post: Callable[[Post], None]) -> str:
    """Run a group of cells in this process, and post each trial when it is there.

    Args:
        assignment: which cells, of which run.
        post: takes a message; returns once it has arrived.

    Returns:
        Why the plan cannot be followed here, in one line; empty when it was.
    """
    for name in deciding_variables():
        os.environ.pop(name)
    os.environ.update(assignment.environment)
    try:
        os.chdir(assignment.folder)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    group = GroupRun(assignment, post)
    without = [argument for name in _WITHOUT for argument in ("-p", f"no:{name}")]
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        pytest.main([*without, *assignment.arguments], plugins=[group])
    if group.started:
        return ""
    return _complaint(said.getvalue())


def deciding_variables() -> dict[str, str]:
    """Return the variables of this process that decide what pytest and the registry load."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PREFIXES) and name not in _OF_ONE_PROCESS
    }


def _complaint(said: str) -> str:
    """Return the line of pytest's errors that says what is wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("ERROR: ") and "usage:" not in line]
    telling += [line.partition(": ")[2] for line in lines if ": error: " in line]
    return (telling or lines or ["pytest ended before it began"])[0].removeprefix("ERROR: ")


class GroupRun:
    """The hooks that make a pytest session run one group of cells, without collecting.

    Args:
        assignment: which cells, of which run.
        post: takes a message.
    """

    def __init__(self, assignment: Assignment, post: Callable[[Post], None]) -> None:
        self._assignment = assignment
        self._post = post
        self.started = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        """Hand the plan over before anything is configured; gates are the business of others."""
        config.workerinput = {}  # type: ignore[attr-defined]
        hand_over(config.workerinput, self._assignment.handed)  # type: ignore[attr-defined]
        for name in _OF_THE_USER:
            setattr(config.option, name, [] if name in ("bench_min_skill", "bench_compare_fail") else None)

    def pytest_collection(self) -> bool:
        """Collect nothing: the plan knows the cells."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the cells in the order that was asked for.

        Raises:
            pytest.UsageError: the plan of this process has no such cell.
        """
        bench: BenchSession = session.config.pluginmanager.getplugin("interp_bench_session")
        cells = self._cells(bench)
        self.started = True
        following = [*(cell.key for cell in cells[1:]), ""]
        self._post(Began(key=cells[0].key))
        for cell, then in zip(cells, following, strict=True):
            self._post(replace(_run(bench, cell), then=then))
        return True

    def _cells(self, bench: BenchSession) -> Sequence[Cell]:
        by_key = {cell.key: cell for cell in bench.plan.cells}
        missing = [key for key in self._assignment.keys if key not in by_key]
        if missing:
            raise pytest.UsageError(
                f"{len(missing)} of {len(self._assignment.keys)} trials are unknown in {Path.cwd()} there; "
                "the code of interp_bench, tasks or techniques differs"
            )
        return [by_key[key] for key in self._assignment.keys]


def _run(bench: BenchSession, cell: Cell) -> Arrival:
    output, errors = io.StringIO(), io.StringIO()
    start = time.perf_counter()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            outcome = bench.runner.run(cell)
            trial, error, trace = outcome.trial, outcome.error, outcome.trace
        except Exception as raised:
            reason = " ".join(f"{type(raised).__name__}: {raised}".split())
            trial, error, trace = bench.record(cell, "crashed", reason), raised, ""
    return Arrival(
        key=cell.key,
        trial=trial.model_dump_json(),
        seconds=time.perf_counter() - start,
        shown=_shown(error),
        output=(output.getvalue(), errors.getvalue()),
        trace=trace,
    )


def _shown(error: BaseException | None) -> Any:
    from interp_bench.plugin.items import is_foreign, without_harness

    if error is None or not is_foreign(error):
        return None
    return pytest.ExceptionInfo.from_exception(error).getrepr(style="short", tbfilter=without_harness)
