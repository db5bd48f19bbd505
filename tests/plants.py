"""Fingerprints of what tasks plant: write them anew with ``python -m tests.plants``.

A task is planted on the smallest model that it runs on in the quick tier. Names in its truth count
exactly; tensors and weights by a few sums, which other processors reproduce to a part in a thousand.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from interp_bench.harness.discovery import load_installed, load_tasks
from interp_bench.harness.folders import task_files
from interp_bench.harness.models import MODELS
from interp_bench.tracks.catalogue import Task

ROOT = Path(__file__).resolve().parents[1]
STORED = Path(__file__).with_name("plants.json")
SEED = 0


def tasks() -> list[Task]:
    """Return the tasks of the repository, by id."""
    load_installed()
    found = [task for file in task_files([ROOT / "tasks"]) for task in load_tasks(file)]
    return sorted(found, key=lambda task: task.id)


def smallest(task: Task) -> str:
    """Return the id of the smallest model that a task runs on in the quick tier."""
    specs = sorted(MODELS.registry().specs, key=lambda spec: (spec.params, spec.id))
    needs = [task.needs, task.quick or task.needs]
    return next(
        spec.id
        for spec in specs
        if spec.tier == "quick"
        and all(need.unmet_by(spec.modality, spec.kind, spec.params) is None for need in needs)
    )


def fingerprint(task: Task) -> dict[str, Any]:
    """Plant a task and sum up what came of it."""
    name = smallest(task)
    model = MODELS.open(MODELS.registry().get(name), "cpu")
    planted = task.function(model, SEED)
    weights = torch.cat([p.detach().double().flatten() for p in model.module.parameters()])
    return {
        "version": task.version,
        "model": name,
        "dials": dict(task.arguments),
        "names": sorted(_names(planted.truth)),
        "sums": {"weights": _sums(weights), **dict(_tensors("truth", planted.truth))},
    }


def _names(value: object) -> Iterator[str]:
    """Yield the strings in a truth, such as edges and sites."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, inner in value.items():
                yield from _names(key)
                yield from _names(inner)
        case tuple() if value and all(isinstance(part, str) for part in value):
            yield " -> ".join(value)
        case tuple() | list():
            for inner in value:
                yield from _names(inner)
        case _ if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from _names(getattr(value, field.name))


def _tensors(path: str, value: object) -> Iterator[tuple[str, list[float]]]:
    match value:
        case torch.Tensor():
            yield path, _sums(value)
        case Mapping():
            for key, inner in value.items():
                yield from _tensors(f"{path}.{key}", inner)
        case tuple() | list():
            for index, inner in enumerate(value):
                yield from _tensors(f"{path}.{index}", inner)
        case _ if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from _tensors(f"{path}.{field.name}", getattr(value, field.name))


def _sums(values: torch.Tensor) -> list[float]:
    """Return size, mean size of an entry, and the same weighted by place."""
    flat = values.detach().double().cpu().flatten().abs()
    place = torch.linspace(0, 1, len(flat), dtype=torch.float64)
    numbers = (len(flat), flat.mean() if len(flat) else 0.0, (flat * place).mean() if len(flat) else 0.0)
    return [float(f"{float(number):.6g}") for number in numbers]


def main() -> None:
    """Write the fingerprints of all tasks."""
    found = {task.id: fingerprint(task) for task in tasks()}
    STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found)} fingerprints in {STORED.name}")


if __name__ == "__main__":
    main()
