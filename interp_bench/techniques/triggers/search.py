"""Search without gradients: try triggers, and keep the best."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.techniques.triggers.guess import draw
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem


@technique(
    cites="Bergstra and Bengio 2012, Random search for hyper-parameter optimization",
    access="forward",
    cost="tries x inputs forwards",
)
def random_search(problem: TriggerProblem, *, tries: int = 32) -> Trigger:
    """The best of some random triggers, by the loss on the inputs.

    Note:
        A control: 32 draws among all patches or sequences find no trigger, so that what does has searched
        better.

    Args:
        problem: the problem.
        tries: how many.
    """
    generator = problem.generator()
    tried = [draw(problem, generator) for _ in range(tries)]
    losses = [loss_of(problem, values, problem.generator()) for values in tried]
    return Trigger(values=tried[min(range(tries), key=losses.__getitem__)])


@technique(
    cites="Wallace et al. 2019, Universal adversarial triggers; Yuan et al. 2020 (greedy word search)",
    access="forward",
    cost="passes x positions x candidates x inputs forwards",
    needs=Needs(modalities=("lm",)),
)
def greedy_search(problem: TriggerProblem, *, passes: int = 1, candidates: int = 128) -> Trigger:
    """Position by position, the token that lowers the loss the most, of a random few of the vocabulary.

    Args:
        problem: the problem.
        passes: how often all positions are gone through.
        candidates: tokens that are tried at a position.
    """
    generator = problem.generator()
    values = draw(problem, generator)
    rows = torch.randperm(len(problem.inputs), generator=generator)[:8]
    for _ in range(passes):
        for position in range(len(values)):
            order = torch.randperm(len(problem.vocabulary), generator=generator)[:candidates]
            values = best_token(problem, values, position, problem.vocabulary[order], rows)
    return Trigger(values=values)


def best_token(
    problem: TriggerProblem, values: Tensor, position: int, candidates: Tensor, rows: Tensor
) -> Tensor:
    """Return the trigger (k,) with the best of its own token and candidates (m,) at one position."""
    tried = values.repeat(len(candidates) + 1, 1)
    tried[1:, position] = candidates
    losses = torch.tensor([loss_of(problem, row, problem.generator(), rows) for row in tried])
    return tried[int(losses.argmin())]


def loss_of(
    problem: TriggerProblem, values: Tensor, generator: torch.Generator, rows: Tensor | None = None
) -> float:
    """Return the loss of the inputs (all, or ``rows``) with these values in random places."""
    with torch.no_grad():
        logits = problem.model(problem.insert(values, problem.draw_places(generator, rows), rows))
        return float(problem.loss(problem.class_logits(logits), rows))
