"""Tokens found by the gradient with respect to the embedding: which swap promises the lowest loss."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.techniques.triggers.guess import draw
from interp_bench.techniques.triggers.search import best_token, loss_of
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem

_TEXTS = Needs(modalities=("lm",))


@technique(
    cites="Ebrahimi et al. 2018, HotFlip; Wallace et al. 2019, Universal adversarial triggers",
    access="gradients",
    cost="passes x positions x (1 backward + candidates forwards)",
    needs=_TEXTS,
)
def hotflip(problem: TriggerProblem, *, passes: int = 2, candidates: int = 12) -> Trigger:
    """Position by position, the best of the tokens that the gradient promises the most of.

    Args:
        problem: the problem.
        passes: how often all positions are gone through.
        candidates: promising tokens that are tried at a position.
    """
    generator = problem.generator()
    values = draw(problem, generator)
    rows = torch.randperm(len(problem.inputs), generator=generator)[:8]
    for _ in range(passes):
        for position in range(len(values)):
            promise = promises_of(problem, values, generator)[position]
            best = problem.vocabulary[promise.topk(min(candidates, len(promise))).indices]
            values = best_token(problem, values, position, best, rows)
    return Trigger(values=values)


@technique(
    cites="Shin et al. 2020, AutoPrompt (section 2.2)",
    access="gradients",
    cost="steps x (1 backward + candidates forwards)",
    needs=_TEXTS,
)
def autoprompt(problem: TriggerProblem, *, steps: int = 6, candidates: int = 12) -> Trigger:
    """At a random position the best of the promising tokens, kept where it is better on other inputs.

    Unlike ``hotflip`` it takes positions at random and judges each swap on inputs drawn anew; unlike
    ``greedy_coordinate_gradient`` it tries one position a step and never gets worse on what it sees. The
    paper takes 10 to 1,000 candidates of 30,000 tokens.

    Args:
        problem: the problem.
        steps: positions that are tried.
        candidates: promising tokens that are tried at each.
    """
    generator = problem.generator()
    values = draw(problem, generator)
    for _ in range(steps):
        position = int(torch.randint(len(values), (), generator=generator))
        promise = promises_of(problem, values, generator)[position]
        best = problem.vocabulary[promise.topk(min(candidates, len(promise))).indices]
        rows = torch.randperm(len(problem.inputs), generator=generator)[:8]
        values = best_token(problem, values, position, best, rows)
    return Trigger(values=values)


@technique(
    cites="Zou et al. 2023, Universal and transferable adversarial attacks (greedy coordinate gradient)",
    access="gradients",
    cost="steps x (1 backward + tries forwards)",
    needs=_TEXTS,
)
def greedy_coordinate_gradient(
    problem: TriggerProblem, *, steps: int = 8, tries: int = 12, top: int = 32
) -> Trigger:
    """In each step the best of some random swaps, each of one position to one of its promising tokens.

    Algorithms 1 and 2 of the paper, but that inputs are not added one by one and that slopes of inputs are
    added unclipped. The paper takes 500 steps of 512 tries among the 256 most promising of 32,000 tokens,
    for 20 positions; a trigger here has two, and a vocabulary of a hundred. As there, the best try takes
    the place of the trigger even where it is worse, and the best trigger of all steps is the answer.

    Args:
        problem: the problem.
        steps: gradients that are taken.
        tries: swaps that are tried in a step.
        top: the most promising tokens of each position, which swaps are drawn from.
    """
    generator = problem.generator()
    values = draw(problem, generator)
    lowest = float("inf")
    best = values
    for _ in range(steps):
        promises = promises_of(problem, values, generator)
        ranked = promises.topk(min(top, promises.shape[1])).indices
        rows = torch.randperm(len(problem.inputs), generator=generator)[:8]
        tried = values.repeat(tries, 1)
        for row in tried:
            position = int(torch.randint(len(values), (), generator=generator))
            pick = int(torch.randint(ranked.shape[1], (), generator=generator))
            row[position] = problem.vocabulary[ranked[position, pick]]
        losses = [loss_of(problem, row, problem.generator(), rows) for row in tried]
        values = tried[min(range(tries), key=losses.__getitem__)]
        now = loss_of(problem, values, problem.generator())
        if now < lowest:
            lowest, best = now, values
    return Trigger(values=best)


def promises_of(problem: TriggerProblem, values: Tensor, generator: torch.Generator) -> Tensor:
    """Return (k, m) by how much the loss would fall, to first order, with each token at each position."""
    model, rows = problem.model, torch.arange(len(problem.inputs))
    places = problem.draw_places(generator)
    inputs = problem.insert(values, places)
    with torch.enable_grad():
        features = model.embed(inputs).detach().requires_grad_()
        loss = problem.loss(problem.class_logits(model.from_embeddings(features)))
        (slope,) = torch.autograd.grad(loss, features)
    at = slope[rows[:, None].to(slope.device), places.to(slope.device)].sum(0)
    table = model.embed(problem.vocabulary[:, None].to(inputs.device))[:, 0]
    return -(at @ table.T).float().cpu()
