"""The progress line: trials done, the model at hand, failures, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from interp_bench.harness.estimate import Timings, spoken
from interp_bench.harness.grid import Cell

_STEPS = 20


class Progress:
    """Writes one line that is rewritten on a terminal, or one line per model and step elsewhere.

    Args:
        reporter: pytest's terminal reporter.
        total: how many trials there are, stored and skipped ones included.
        running: the cells that are computed.
        timings: seconds of past trials.
    """

    def __init__(
        self,
        reporter: pytest.TerminalReporter,
        total: int,
        running: Sequence[Cell],
        timings: Timings,
    ) -> None:
        self._reporter = reporter
        self._total = total
        self._done = 0
        self._failed = 0
        self._start = time.monotonic()
        self._step = 0
        self._shown: set[str] = set()
        self._weights = _weights(running, timings)
        self._all = sum(self._weights.values())
        self._past = 0.0
        self._first: tuple[float, float] | None = None

    def advance(self, cell: Cell, *, failed: bool) -> None:
        """Count one cell as done, and say so."""
        self._done += 1
        self._failed += failed
        weight = self._weights.get(cell.key, 0.0)
        self._past += weight
        if weight and self._first is None:
            self._first = (time.monotonic(), weight)
        line = self._line(cell)
        if self._reporter.isatty:
            self._reporter.rewrite(line, erase=True)
            if self._done == self._total:
                self._reporter.write("\n")
            return
        # With several workers the models take turns; only one that is new is worth a line.
        step = self._done * _STEPS // self._total
        if step != self._step or cell.spec.id not in self._shown:
            self._step = step
            self._shown.add(cell.spec.id)
            self._reporter.write_line(line)

    def _line(self, cell: Cell) -> str:
        parts = [f"[{self._done:>{len(str(self._total))}}/{self._total}] {cell.spec.id} seed {cell.seed}"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        left = self._left()
        if left is not None:
            parts.append(f"{spoken(left)} left")
        return ", ".join(parts)

    def _left(self) -> float | None:
        """Return the seconds that are left, from the pace so far; None while nothing tells.

        The pace is that since the first cell came, for the start of workers says nothing about it.
        """
        if self._first is None:
            return None
        start, before = self._first
        if self._past == before:
            start, before = self._start, 0.0
        return (time.monotonic() - start) * (self._all - self._past) / (self._past - before)


def _weights(running: Sequence[Cell], timings: Timings) -> dict[str, float]:
    """Return how long each cell that is computed takes, relative to the others."""
    shares = timings.shares(running)
    known = [share for share in shares if share is not None]
    usual = sum(known) / len(known) if known else 1.0
    return {cell.key: usual if share is None else share for cell, share in zip(running, shares, strict=True)}
