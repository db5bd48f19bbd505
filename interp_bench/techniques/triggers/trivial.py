"""Answers that never look at the output: what a technique has to beat before it finds anything."""

from __future__ import annotations

import torch

from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.triggers import Trigger, TriggerProblem


@technique(
    cites="Zeiler and Fergus 2014, Visualizing and understanding convolutional networks (occlusion)",
    access="forward",
    cost="none",
    needs=Needs(modalities=("image",)),
)
def blank_patch(problem: TriggerProblem) -> Trigger:
    """A patch of one colour, which only hides what is behind it.

    Note:
        A control: it shows what hiding a part of the image does, which is nothing.
    """
    return Trigger(values=torch.full(problem.shape, problem.bound))


@technique(
    cites="Kurita et al. 2020, Weight poisoning attacks on pretrained models (frequency of triggers)",
    access="forward",
    cost="none",
    needs=Needs(modalities=("lm",)),
)
def frequent_tokens(problem: TriggerProblem) -> Trigger:
    """The tokens that are the most frequent in the inputs.

    Note:
        A control: triggers are drawn apart from what is frequent, so it should stay at the floor.
    """
    counts = torch.bincount(problem.inputs.flatten().cpu(), minlength=int(problem.vocabulary.max()) + 1)
    return Trigger(
        values=problem.vocabulary[counts[problem.vocabulary].argsort(descending=True)][: problem.shape[0]]
    )
