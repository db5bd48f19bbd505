"""Every task runs in the quick tier, on at least one of its models."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_bench.harness.discovery import load_installed, load_tasks
from interp_bench.harness.folders import task_files
from interp_bench.harness.grid import Grid
from interp_bench.harness.models import MODELS
from interp_bench.harness.selection import select_models
from interp_bench.tracks.catalogue import CATALOGUE, Task

ROOT = Path(__file__).resolve().parents[1]


def _tasks() -> list[Task]:
    load_installed()
    return [task for file in task_files([ROOT / "tasks"]) for task in load_tasks(file)]


@pytest.mark.parametrize("task", _tasks(), ids=lambda task: task.id)
def test_a_task_runs_in_the_quick_tier(task: Task) -> None:
    registry = MODELS.registry()
    grid = Grid(
        techniques=[t for t in CATALOGUE.techniques.values() if t.track is task.track],
        tasks=[task],
        specs=select_models([], registry, "quick"),
        seeds=[0],
        floors={task.track.name: CATALOGUE.floor_of(task.track.name)},
        brief=True,
    )
    assert grid.cells, [absent.reason for absent in grid.explain()]
