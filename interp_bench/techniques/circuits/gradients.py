"""First-order edge scores: gradients at destinations times what sources write, or would write."""

from __future__ import annotations

import torch

from interp_bench.tracks.catalogue import technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Syed, Rager & Conmy 2023, Attribution Patching Outperforms Automated Circuit Discovery, eq. 4",
    access="gradients",
    cost="3 forwards, 1 backward",
)
def eap(problem: CircuitProblem) -> EdgeScores:
    """Edge attribution patching: the corrupted minus the clean source output times the gradient."""
    deltas = problem.source_outputs(problem.corrupted) - problem.source_outputs(problem.clean)
    return EdgeScores(scores=problem.edge_attributions(deltas))


@technique(
    cites="Hanna, Pezzelle & Belinkov 2024, Have Faith in Faithfulness, eq. 3 (EAP-IG, inputs)",
    access="gradients",
    cost="2 + steps forwards, steps backwards",
)
def eap_ig(problem: CircuitProblem, *, steps: int = 5) -> EdgeScores:
    """Edge attribution patching with gradients averaged from the corrupted to the clean input."""
    clean = problem.source_outputs(problem.clean)
    corrupted = problem.source_outputs(problem.corrupted)
    roots = problem.graph.n_roots
    scores = torch.zeros(problem.graph.shape, dtype=clean.dtype, device=clean.device)
    for step in range(1, steps + 1):
        stream = corrupted[:roots] + (clean[:roots] - corrupted[:roots]) * (step / steps)
        scores += problem.edge_attributions(corrupted - clean, stream=stream)
    return EdgeScores(scores=scores / steps)


@technique(
    cites="Ancona et al. 2018 (gradient x input), on the edges of the graph",
    access="gradients",
    cost="2 forwards, 1 backward",
)
def gradient_x_activation(problem: CircuitProblem) -> EdgeScores:
    """The clean source output times the gradient: no corrupted input is used."""
    return EdgeScores(scores=problem.edge_attributions(problem.source_outputs(problem.clean)))
