"""Planted problems of the attribution track, and questions about networks made by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from interp_bench.harness.discovery import load_tasks
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks.attribution import AttributionProblem
from interp_bench.tracks.base import Planted

TASKS = Path(__file__).parents[1] / "tasks" / "attribution" / "bench_evidence.py"
_PLANTED: dict[str, Planted[Any, Any]] = {}


def planted(name: str) -> Planted[Any, Any]:
    """Return four inputs with evidence in a model of the registry."""
    if name not in _PLANTED:
        model = open_model(load_registry().get(name))
        tasks = {task.name: task for task in load_tasks(TASKS)}
        task = tasks["token_evidence" if model.modality == "lm" else "visual_evidence"]
        _PLANTED[name] = task.function(model, 0, n_inputs=4)
    return _PLANTED[name]


def toy_problem(
    module: nn.Module, inputs: Tensor, outputs: tuple[int, ...], reference: float = 0.0, kind: str = "resnet"
) -> AttributionProblem:
    """Return the question about an image network made by hand."""
    spec = SimpleNamespace(id="by-hand", modality="image", params=768, kind=kind)
    return AttributionProblem(
        model=Model(spec, module.eval().requires_grad_(False)),  # type: ignore[arg-type]
        seed=0,
        inputs=inputs,
        outputs=torch.tensor(outputs),
        reference=torch.full_like(inputs, reference),
    )
