"""First-order edge scores: gradients at destinations times what sources write, or would write."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


def summed(problem: CircuitProblem, score: Callable[[CircuitProblem], Tensor]) -> EdgeScores:
    """Add up the scores of batches of pairs, each as large as memory allows."""
    return EdgeScores(scores=torch.stack([score(part) for part in problem.batches()]).sum(0))


def attribution_patching(problem: CircuitProblem) -> Tensor:
    """Return (n_sources, n_destinations), corrupted minus clean outputs times the gradient on clean ones."""
    corrupted = problem.writes(problem.corrupted)
    return problem.edge_attributions(lambda clean: corrupted - clean)


@technique(
    cites="Syed, Rager & Conmy 2023, Attribution Patching Outperforms Automated Circuit Discovery, eq. 4",
    access="gradients",
    cost="2 forwards, 1 backward",
)
def eap(problem: CircuitProblem) -> EdgeScores:
    """Edge attribution patching: the corrupted minus the clean source output times the gradient."""
    return summed(problem, attribution_patching)


@technique(
    cites="Hanna, Pezzelle & Belinkov 2024, Have Faith in Faithfulness (clean-corrupted variant of EAP)",
    access="gradients",
    cost="4 forwards, 2 backwards",
    quick=Needs(max_params=1_000_000),
)
def eap_clean_corrupted(problem: CircuitProblem) -> EdgeScores:
    """Edge attribution patching with the mean of the gradients on the clean and the corrupted input."""

    def score(part: CircuitProblem) -> Tensor:
        clean, corrupted = part.writes(part.clean), part.writes(part.corrupted)
        ends = [
            part.edge_attributions(lambda _: corrupted - clean, held={end.root: end.parts[end.root]})
            for end in (clean, corrupted)
        ]
        return (ends[0] + ends[1]) / 2

    return summed(problem, score)


@technique(
    cites="Ancona et al. 2018 (gradient x input), on the edges of the graph",
    access="gradients",
    cost="1 forward, 1 backward",
)
def gradient_x_activation(problem: CircuitProblem) -> EdgeScores:
    """The clean source output times the gradient: no corrupted input is used."""
    return summed(problem, lambda part: part.edge_attributions(lambda clean: clean))
