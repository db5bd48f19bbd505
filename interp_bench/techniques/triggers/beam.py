"""Beam search over tokens: not the best swap alone is followed, but a few of the best."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.techniques.triggers.guess import draw
from interp_bench.techniques.triggers.search import loss_of
from interp_bench.techniques.triggers.tokens import promises_of
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem


@technique(
    cites="Ebrahimi et al. 2018, HotFlip (beam search, section 3.2); Wallace et al. 2019, section 3",
    access="gradients",
    cost="passes x positions x beam x (1 backward + candidates forwards)",
    needs=Needs(modalities=("lm",)),
)
def gradient_guided_beam(
    problem: TriggerProblem, *, beam: int = 3, candidates: int = 10, passes: int = 2
) -> Trigger:
    """From left to right, the few best triggers go on, each with the tokens that its gradient promises.

    Wallace et al. go through the positions until nothing improves; here, for so many passes at most.

    Args:
        problem: the problem.
        beam: triggers that are kept.
        candidates: promising tokens that are tried at a position of each.
        passes: how often all positions are gone through.
    """
    generator = problem.generator()
    rows = torch.randperm(len(problem.inputs), generator=generator)[:8]
    kept = [draw(problem, generator)]
    for _ in range(passes):
        before = kept[0]
        for position in range(len(before)):
            grown = {
                tuple(values.tolist()): values
                for old in kept
                for values in (old, *_swaps(problem, old, position, candidates, generator))
            }
            losses = {key: loss_of(problem, grown[key], problem.generator(), rows) for key in grown}
            kept = [grown[key] for key in sorted(losses, key=losses.__getitem__)[:beam]]
        if torch.equal(kept[0], before):
            break
    return Trigger(values=kept[0])


def _swaps(
    problem: TriggerProblem, values: Tensor, position: int, candidates: int, generator: torch.Generator
) -> list[Tensor]:
    """Return triggers (k,) with another token at a position, the most promising ones."""
    promise = promises_of(problem, values, generator)[position]
    swapped = values.repeat(min(candidates, len(promise)), 1)
    swapped[:, position] = problem.vocabulary[promise.topk(len(swapped)).indices]
    return list(swapped)
