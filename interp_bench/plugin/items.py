"""What pytest collects: a file of tasks, and one item for each technique x task x model x seed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from interp_bench.harness.grid import Cell
from interp_bench.harness.trial import Trial

Execute = Callable[["BenchItem"], None]

_OWN_FOLDERS = tuple(str(Path(__file__).resolve().parents[1] / room) for room in ("harness", "plugin"))


class BenchFile(pytest.File):
    """A ``bench_*.py`` file."""

    cells: list[Cell]
    execute: Execute

    @classmethod
    def make(cls, parent: pytest.Collector, path: Path, cells: list[Cell], execute: Execute) -> BenchFile:
        """Return the collector of a file."""
        made: BenchFile = cls.from_parent(parent, path=path)
        made.cells, made.execute = cells, execute
        return made

    def collect(self) -> Iterator[BenchItem]:
        """Yield one item a cell."""
        for cell in self.cells:
            yield BenchItem.make(self, cell)


class BenchItem(pytest.Item):
    """One trial. A low score passes; a crash, a broken contract or a gate fails.

    Attributes:
        cell: what is tried.
        trial: its outcome, once there is one.
        reused: whether the outcome comes from the store.
        seconds: how long the trial took, where that was in another process.
    """

    cell: Cell
    trial: Trial | None
    reused: bool
    seconds: float | None

    @classmethod
    def make(cls, parent: BenchFile, cell: Cell) -> BenchItem:
        """Return the item of a cell."""
        item: BenchItem = cls.from_parent(parent, name=cell.name)
        item.cell, item.trial, item.reused, item.seconds = cell, None, False, None
        item.extra_keyword_matches.add(cell.task.track.name)
        return item

    def runtest(self) -> None:
        """Run the trial, or take it from the store."""
        assert isinstance(self.parent, BenchFile)
        self.parent.execute(self)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the task is defined."""
        return self.path, self.cell.task.function.__code__.co_firstlineno - 1, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return a traceback without the frames of the harness."""
        if isinstance(excinfo.value, pytest.fail.Exception):
            return str(excinfo.value)
        if isinstance(excinfo.value, Elsewhere):
            return excinfo.value.shown
        return super().repr_failure(excinfo, style or "short")

    def _traceback_filter(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        return without_harness(excinfo)


class Elsewhere(Exception):
    """An exception that was raised in another process.

    Args:
        shown: what pytest shows of it.
    """

    def __init__(self, shown: Any) -> None:
        super().__init__("an exception in another process")
        self.shown = shown


def without_harness(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """Return the traceback of an exception without the frames of the harness."""
    kept = excinfo.traceback.filter(lambda entry: not str(entry.path).startswith(_OWN_FOLDERS))
    return kept or excinfo.traceback


def conclude(trial: Trial, error: BaseException | None, gate: str, *, trace: str = "") -> None:
    """Turn a trial into the outcome of its item.

    Args:
        trial: what came out.
        error: the exception behind it, if it failed.
        gate: why it fails a regression gate, or an empty string.
        trace: what is shown where there is no exception: its traceback in text, or what was written last.
    """
    if trial.status == "skipped":
        _skip(trial.reason)
    if trial.status == "invalid":
        _skip(f"invalid: {trial.reason}")
    if trial.status != "ok":
        if isinstance(error, Elsewhere) or (error is not None and is_foreign(error)):
            raise error
        pytest.fail(f"{trial.status}: {trial.reason}\n{trace}".rstrip(), pytrace=False)
    if gate:
        pytest.fail(gate, pytrace=False)


def is_foreign(error: BaseException) -> bool:
    """Return whether code outside of the harness raised an exception, so that its place matters."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and not frames[-1].filename.startswith(_OWN_FOLDERS) and isinstance(error, Exception)


def _skip(reason: str) -> NoReturn:
    raise pytest.skip.Exception(reason, _use_item_location=True)
