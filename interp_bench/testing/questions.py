"""Example problems of the contract suite: real tasks of the package on its smallest models."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from interp_bench.harness.discovery import load_installed, load_tasks
from interp_bench.harness.folders import task_files, tasks_folder
from interp_bench.harness.guards import borrowed_generators
from interp_bench.model.opening import open_model
from interp_bench.planting.codes import orthonormal
from interp_bench.registry import load_registry
from interp_bench.testing.rotation import rotate, turned
from interp_bench.tracks.attribution import AttributionProblem
from interp_bench.tracks.base import Planted, Problem
from interp_bench.tracks.catalogue import Task, Technique
from interp_bench.tracks.circuits import CircuitProblem
from interp_bench.tracks.concepts import ConceptProblem
from interp_bench.tracks.features import FeatureProblem
from interp_bench.tracks.triggers import TriggerProblem

P = TypeVar("P", bound=Problem)
Variant = Literal["planted", "again", "bfloat16", "smallest"]
"""How a question is asked: as planted; planted a second time from the same seed; on a network of 16-bit
weights; with as few inputs as the question can be asked with."""

_FEW_SAMPLES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One task on one model.

    Attributes:
        task: its name.
        model: id of a model in the registry.
        modality: of that model.
    """

    task: str
    model: str
    modality: str


def _lm(task: str) -> Question:
    return Question(task=task, model="native-30k", modality="lm")


def _cnn(task: str) -> Question:
    return Question(task=task, model="convnext-slim-20k", modality="image")


def _vit(task: str) -> Question:
    return Question(task=task, model="vit-slim-200k", modality="image")


def _resnet(task: str) -> Question:
    return Question(task=task, model="resnet18", modality="image")


QUESTIONS: Mapping[str, tuple[Question, ...]] = {
    "features": (_lm("dictionary"), _cnn("visual_dictionary"), _vit("visual_dictionary")),
    "concepts": (_lm("marker_concept"), _cnn("visual_concept"), _vit("visual_concept")),
    "circuits": (_lm("induction"), _cnn("channel_conjunction"), _vit("evidence_route")),
    "attribution": (
        _lm("token_evidence"),
        _cnn("visual_evidence"),
        _vit("visual_evidence"),
        _resnet("visual_evidence"),  # for techniques that ask for ReLUs
    ),
    "triggers": (_lm("universal_tokens"), _cnn("universal_patch"), _vit("universal_patch")),
}
"""By track, the smallest models first."""

ROTATED: Mapping[str, Question] = {
    track: replace(questions[0], model="native-rope-200k") for track, questions in QUESTIONS.items()
}
"""Questions on a network whose norms have no gains, so that its residual stream can be turned."""


def questions_for(technique: Technique) -> tuple[Question, ...]:
    """Return one question for each modality that a technique claims and that there is a model of."""
    found: dict[str, Question] = {}
    for question in QUESTIONS.get(technique.track.name, ()):
        spec = load_registry().get(question.model)
        if technique.needs.unmet_by(spec.modality, spec.kind, spec.params) is None:
            found.setdefault(question.modality, question)
    return tuple(found.values())


@lru_cache(maxsize=1)
def _tasks() -> Mapping[str, Task]:
    load_installed()
    files = task_files([tasks_folder(Path(__file__).parent)])
    return {task.id: task for file in files for task in load_tasks(file)}


@lru_cache(maxsize=96)
def planted(
    track: str, question: Question, seed: int = 0, dtype: torch.dtype = torch.float32, copy: int = 0
) -> Planted[Any, Any]:
    """Return a planted question; kept, since all techniques are asked the same.

    Args:
        track: name of the track.
        question: what is planted where.
        seed: of the plant.
        dtype: of the weights.
        copy: two copies share nothing.
    """
    model = open_model(load_registry().get(question.model), "cpu", dtype)
    task = _tasks()[f"{track}/{question.task}"]
    with borrowed_generators(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: Planted[Any, Any] = task.function(model, seed)
    return result


def asked(track: str, question: Question, variant: Variant) -> Planted[Any, Any]:
    """Return a question as one of its variants."""
    if variant == "again":
        return planted(track, question, copy=1)
    if variant == "bfloat16":
        return planted(track, question, dtype=torch.bfloat16)
    whole = planted(track, question)
    return whole if variant == "planted" else replace(whole, problem=smallest(whole.problem))


@lru_cache(maxsize=8)
def rotated(track: str, question: Question) -> Planted[Any, Any]:
    """Return a question of an LM after a random rotation of its residual stream."""
    own = planted(track, question, copy=2)
    width = own.problem.model.d_model
    rotation = orthonormal(width, width, torch.Generator().manual_seed(1))
    rotate(own.problem.model, rotation)
    return turned(own, rotation)


def forget() -> None:
    """Let go of all that was planted: a technique has spoilt some of it."""
    planted.cache_clear()
    rotated.cache_clear()


def smallest(problem: Problem) -> Problem:
    """Return a problem with as few inputs as it can be asked with: one or two, or four of each label."""
    match problem:
        case FeatureProblem():
            kept = slice(_FEW_SAMPLES)
            return replace(problem, rows=problem.rows[kept], _recorded=problem._recorded[kept])
        case ConceptProblem():
            each = range(problem.n_values)
            rows = torch.cat([(problem.labels == value).nonzero()[:4, 0] for value in each])
            return replace(problem, inputs=problem.inputs[rows], labels=problem.labels[rows], _recall=None)
        case CircuitProblem():
            return problem.first(1)
        case AttributionProblem():
            return _first(problem, 1, "inputs", "outputs", "reference")
        case TriggerProblem():
            return _first(problem, 2, "inputs", "labels", "meant", "places")
    return problem


def _first(problem: P, n: int, *names: str) -> P:
    return replace(problem, **{name: getattr(problem, name)[:n] for name in names})
