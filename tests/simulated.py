"""Simulated boards: trials whose skill follows a rule that a test knows, in any number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from interp_bench.harness.trial import Provenance, Trial

Rule = Callable[["SimulatedTechnique", str, "SimulatedModel"], float]
"""Expected skill of a technique on a task and a model."""

PROVENANCE = Provenance(interp_bench="0", python="3.11", started_at="2026-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """A model as trials know it."""

    id: str
    params: int
    ladder: str = "rungs"
    modality: str = "lm"
    kind: str = "llama"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTechnique:
    """A technique as trials know it."""

    name: str
    track: str = "circuits"
    seconds: float = 1.0


def ladder(params: Sequence[int], name: str = "rungs", modality: str = "lm") -> tuple[SimulatedModel, ...]:
    """Return one model a size."""
    return tuple(
        SimulatedModel(id=f"{name}-{size}", params=size, ladder=name, modality=modality) for size in params
    )


def simulate(
    rule: Rule,
    *,
    models: Sequence[SimulatedModel],
    techniques: Sequence[SimulatedTechnique],
    tasks: Sequence[str] = ("planted",),
    seeds: int = 3,
    noise: float = 0.05,
    generator: np.random.Generator,
) -> list[Trial]:
    """Draw trials whose skill is ``rule`` plus normal noise of standard deviation ``noise``.

    Args:
        rule: expected skill.
        models, techniques, tasks: the grid; every task is of the track of each technique.
        seeds: trials a cell.
        noise: of one trial.
        generator: of the noise.
    """
    trials = []
    for technique in techniques:
        for task in tasks:
            for model in models:
                expected = rule(technique, task, model)
                for seed in range(seeds):
                    skill = expected + noise * float(generator.standard_normal())
                    trials.append(_trial(technique, task, model, seed, skill))
    return trials


def _trial(technique: SimulatedTechnique, task: str, model: SimulatedModel, seed: int, skill: float) -> Trial:
    return Trial(
        key=f"{technique.track}/{task}/{technique.name}/{model.id}/{seed}",
        run_id="simulated",
        technique=technique.name,
        track=technique.track,
        task=task,
        model=model.id,
        seed=seed,
        status="ok",
        primary="average_precision",
        scores={"average_precision": skill},
        floor_scores={"average_precision": 0.0},
        floor_draws=16,
        ceiling_scores={"average_precision": 1.0},
        skill=skill,
        seconds=technique.seconds,
        technique_version=1,
        task_version=1,
        model_revision="r1",
        params=model.params,
        modality=model.modality,
        kind=model.kind,
        ladder=model.ladder,
        provenance=PROVENANCE,
    )
