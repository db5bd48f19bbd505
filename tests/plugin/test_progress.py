"""The progress line: done, failed and time left, with the pace worked out by hand."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest

from interp_bench.harness.estimate import Timings
from interp_bench.plugin import progress
from interp_bench.plugin.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_start_of_workers_is_no_part_of_the_pace(fakes: ModuleType, clock: list[float]) -> None:
    said: list[str] = []
    reporter = SimpleNamespace(isatty=False, write_line=said.append)
    cells = fakes.grid("half", "reader", seeds=(0, 1)).cells  # eight of the same weight
    line = Progress(reporter, len(cells), cells, Timings([]))  # type: ignore[arg-type]
    # The first comes after 20 s; seven more at the only pace known, 20 s each: 140 s.
    clock[0] = 120.0
    line.advance(cells[0], failed=False)
    # Two more within 4 s of the first: 2 s each, and five are left: 10 s.
    clock[0] = 124.0
    line.advance(cells[4], failed=True)
    line.advance(cells[1], failed=False)
    assert said == [
        "[1/8] small seed 0, 2 min left",
        "[2/8] small seed 1, 1 failed, 24 s left",  # one in 4 s, six are left
        "[3/8] small seed 0, 1 failed, 10 s left",
    ]


def test_models_that_take_turns_fill_no_screen(fakes: ModuleType, clock: list[float]) -> None:
    said: list[str] = []
    reporter = SimpleNamespace(isatty=False, write_line=said.append)
    cells = fakes.grid("half", "reader", seeds=tuple(range(50))).cells
    line = Progress(reporter, len(cells), cells, Timings([]))  # type: ignore[arg-type]
    for index, cell in enumerate(cells):
        model = SimpleNamespace(spec=SimpleNamespace(id=f"m{index % 2}"), seed=0, key=cell.key)
        line.advance(model, failed=False)  # type: ignore[arg-type]
    assert len(cells) == 200
    # One line at each twentieth, and one for each model that is new.
    assert len(said) == 20 + 2
