"""What in the data speaks most for the outcome, copied as the trigger."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.errors import Inapplicable
from interp_bench.techniques.triggers.search import loss_of
from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem


@technique(
    cites="Zeiler and Fergus 2014, and Borowski et al. 2021 (natural examples as the reference of synthesis)",
    access="forward",
    cost="1 + inputs x crops forwards",
)
def dataset_exemplars(problem: TriggerProblem, *, inputs: int = 4, crops: int = 8) -> Trigger:
    """Of the inputs with the largest logit of the outcome, the piece that turns the others the most.

    It finds a trigger only where one is in the data. The tasks of this package keep it out of the inputs,
    so that this is at the floor there: a reference for what synthesis adds.

    Note:
        At the floor by construction of the tasks, which keep the trigger out of the inputs.

    Args:
        problem: the problem.
        inputs: how many inputs pieces are taken from.
        crops: pieces of each, drawn at random among its places (images) or runs of tokens (texts).

    Raises:
        Inapplicable: no run of tokens is made of tokens that a trigger may have.
    """
    generator = problem.generator()
    logits = problem.class_logits(problem.model.logits(problem.inputs))[:, problem.outcome].float().cpu()
    top = logits.topk(min(inputs, len(logits))).indices
    pieces = [piece for row in top.tolist() for piece in _pieces(problem, row, crops, generator)]
    if not pieces:
        raise Inapplicable("no piece of the inputs is made of what a trigger may be made of")
    losses = [loss_of(problem, piece, problem.generator()) for piece in pieces]
    return Trigger(values=pieces[losses.index(min(losses))])


def _pieces(problem: TriggerProblem, row: int, crops: int, generator: torch.Generator) -> list[Tensor]:
    """Return pieces of one input, each of the shape of the trigger."""
    shown = problem.inputs[row].detach().cpu()
    if problem.model.modality == "image":
        side = problem.shape[-1]
        every = torch.cartesian_prod(*(torch.arange(size - side + 1) for size in shown.shape[-2:]))
        corners = every[torch.randperm(len(every), generator=generator)[:crops]].tolist()
        found = [shown[:, r : r + side, c : c + side].float() for r, c in corners]
        return [piece.clamp(-problem.bound, problem.bound) for piece in found]
    runs = shown.unfold(0, problem.shape[0], 1)
    allowed = runs[torch.isin(runs, problem.vocabulary).all(1)]
    return list(allowed[torch.randperm(len(allowed), generator=generator)[:crops]])
