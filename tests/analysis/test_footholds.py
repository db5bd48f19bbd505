"""Where a technique is better than guessing, by hand."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast

import pytest

from interp_bench.analysis.cells import Cell
from interp_bench.analysis.footholds import footholds_of
from interp_bench.analysis.stats import Interval, t_interval


def cell(technique: str, task: str, skill: Interval | None) -> Cell:
    facts: dict[str, Any] = {
        "track": "circuits", "model": "m", "role": cast("Any", "technique"), "params": 1,
        "modality": "lm", "ladder": "l", "trials": (), "statuses": MappingProxyType({}),
    }  # fmt: skip
    return Cell(technique=technique, task=task, measured=skill, ranked=skill, **facts)


def test_a_cell_is_held_where_the_lower_bound_is_above_zero() -> None:
    cells = [
        cell("a", "sure", t_interval([0.5, 0.6, 0.7])),  # 0.6 +- 0.25
        cell("a", "unsure", t_interval([0.0, 0.6, 0.9])),  # 0.5 +- 1.1
        cell("a", "below", t_interval([-0.2, -0.2])),
        cell("a", "one seed", t_interval([0.9])),
        cell("a", "skipped", None),
        cell("b", "one seed", t_interval([0.9])),
    ]
    found = footholds_of(cells)
    held = found["circuits/a"]
    assert (held.held, held.cells) == (1, 3)
    assert held.best is cells[0]
    assert (found["circuits/b"].held, found["circuits/b"].cells, found["circuits/b"].best) == (0, 0, None)


def test_zero_itself_is_not_above_zero() -> None:
    found = footholds_of([cell("a", "level", Interval(mean=0.1, low=0.0, high=0.2, n=3))])
    assert found["circuits/a"].held == 0
    assert found["circuits/a"].best is not None
    assert found["circuits/a"].best.ranked == pytest.approx(Interval(mean=0.1, low=0.0, high=0.2, n=3))
