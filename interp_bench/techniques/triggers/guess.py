"""Guessing: the floor of the triggers track."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem


@technique(cites="chance", access="forward", cost="none", floor=True)
def random(problem: TriggerProblem) -> Trigger:
    """Random signs at the largest magnitude, or random tokens."""
    return Trigger(values=draw(problem, problem.generator()))


def draw(problem: TriggerProblem, generator: torch.Generator) -> Tensor:
    """Draw the values of a trigger at random."""
    if problem.model.modality == "image":
        signs = torch.randint(2, problem.shape, generator=generator) * 2 - 1
        return signs * problem.bound
    chosen = torch.randint(len(problem.vocabulary), problem.shape, generator=generator)
    return problem.vocabulary[chosen]
