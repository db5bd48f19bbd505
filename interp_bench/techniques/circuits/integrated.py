"""Edge scores with gradients averaged along a path between the clean and the corrupted run."""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.techniques.circuits.gradients import summed
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores


@technique(
    cites="Hanna, Pezzelle & Belinkov 2024, Have Faith in Faithfulness, eq. 3 (EAP-IG, inputs)",
    access="gradients",
    cost="2 + steps forwards, steps backwards",
)
def eap_ig(problem: CircuitProblem, *, steps: int = 5) -> EdgeScores:
    """Edge attribution patching with gradients averaged from the corrupted to the clean input.

    Args:
        problem: the pairs and the graph.
        steps: points on the path, as in the paper and in MIB.
    """

    def score(part: CircuitProblem) -> Tensor:
        clean, corrupted = part.writes(part.clean), part.writes(part.corrupted)
        total = torch.zeros(part.graph.shape, device=part.model.device)
        for step in range(1, steps + 1):
            held = {clean.root: corrupted.between(clean, step / steps, clean.root)}
            total += part.edge_attributions(lambda _: corrupted - clean, held=held)
        return total / steps

    return summed(problem, score)


@technique(
    cites="Mueller et al. 2025, MIB (EAP-IG-activations); Marks et al. 2024, Sparse Feature Circuits, eq. 3",
    access="gradients",
    cost="2 + steps x layers of sources forwards, as many backwards",
    quick=Needs(max_params=100_000),
)
def eap_ig_activations(problem: CircuitProblem, *, steps: int = 5) -> EdgeScores:
    """EAP-IG on activations: what one layer of sources writes moves from the corrupted run to the clean one.

    Everything before them is clean, and the gradients are averaged for the edges that leave them.

    Args:
        problem: the pairs and the graph.
        steps: points on the path, as in MIB.
    """

    def score(part: CircuitProblem) -> Tensor:
        clean, corrupted = part.writes(part.clean), part.writes(part.corrupted)
        total = torch.zeros(part.graph.shape, device=part.model.device)
        for name in clean.parts:
            rows = clean.rows(name)
            for step in range(1, steps + 1):
                held = {name: corrupted.between(clean, step / steps, name)}
                total[rows] += part.edge_attributions(lambda _: corrupted - clean, held=held)[rows]
        return total / steps

    return summed(problem, score)


@technique(
    cites="Zhang et al. 2025, EAP-GP: Mitigating Saturation Effect in Gradient-based Automated Circuit "
    "Identification, algorithm 1 (GradPath)",
    access="gradients",
    cost="3 + 2 x steps forwards, 2 x steps backwards",
    quick=Needs(max_params=1_000_000),
)
def eap_gp(problem: CircuitProblem, *, steps: int = 5) -> EdgeScores:
    """Edge attribution patching along a path that follows the gradient towards the corrupted output.

    From the clean input each step goes down the gradient of the squared distance between the outputs
    of the current and of the corrupted input. Steps are of equal length, so that together they are as
    long as the straight path; the length in the paper is a constant of normalisation.

    Args:
        problem: the pairs and the graph.
        steps: points on the path, as in the paper.
    """

    def score(part: CircuitProblem) -> Tensor:
        clean, corrupted = part.writes(part.clean), part.writes(part.corrupted)
        wanted = part.final(part.model.logits(part.corrupted, batch_size=len(part.corrupted)))
        point, end = clean.parts[clean.root], corrupted.parts[clean.root]
        length = (end - point).flatten(1).norm(dim=1) / steps
        total = torch.zeros(part.graph.shape, device=part.model.device)
        for _ in range(steps):
            total += part.edge_attributions(lambda _: corrupted - clean, held={clean.root: point})
            point = _step(part, clean.root, point, wanted, length)
        return total / steps

    return summed(problem, score)


def _step(part: CircuitProblem, root: str, point: Tensor, wanted: Tensor, length: Tensor) -> Tensor:
    """Go ``length`` (batch,) down the gradient of the squared distance of outputs to ``wanted``."""
    point = point.detach().requires_grad_()
    with torch.enable_grad():
        distance = (part.held_logits({root: point}) - wanted).pow(2).sum()
    (slope,) = torch.autograd.grad(distance, point)
    norms = slope.flatten(1).norm(dim=1).clamp(min=1e-30)
    shape = (-1, *[1] * (point.ndim - 1))
    return torch.sub(point, slope * (length / norms).view(shape)).detach()
