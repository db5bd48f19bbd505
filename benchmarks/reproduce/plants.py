"""Certified plants of a task on a model, for sections that grade techniques of the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interp_bench.errors import PlantingError
from interp_bench.harness.discovery import load_installed, load_tasks
from interp_bench.harness.models import MODELS
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE, Technique

TASKS = Path(__file__).resolve().parents[2] / "tasks"


def technique(name: str) -> Technique:
    """Return a technique of the package by its id."""
    load_installed()
    return CATALOGUE.techniques[name]


def certified(task: str, host: str, seeds: int, **dials: Any) -> Iterator[tuple[int, Planted[Any, Any]]]:
    """Yield plants with their seed, those of the seeds from 0 that can be planted and pass their certificate.

    Args:
        task: id of a task, such as ``circuits/induction``.
        host: id of a model.
        seeds: how many seeds are tried.
        dials: keyword arguments of the task.
    """
    load_installed()
    track, name = task.split("/")
    files = sorted((TASKS / track).glob("bench_*.py"))
    (function,) = (t.function for file in files for t in load_tasks(file) if t.name == name)
    for seed in range(seeds):
        try:
            planted = function(MODELS.open(MODELS.registry().get(host), "cpu"), seed, **dials)
        except PlantingError:
            continue
        if planted.certificate.passed:
            yield seed, planted
