"""Masks over edges or nodes, learned so that as few as possible keep the clean outputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.techniques.circuits import hard_concrete
from interp_bench.techniques.circuits.importance import between_nodes
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores

SMALL = Needs(max_params=20_000_000)
QUICK = Needs(modalities=("lm",), max_params=50_000)


def _divergence(problem: CircuitProblem) -> Callable[[Tensor], Tensor]:
    """Return keep -> (batch,), the KL divergence from the clean outputs when the rest is resampled."""
    replacement = problem.source_outputs(problem.corrupted)
    with torch.no_grad():
        wanted = problem.final(problem.model(problem.clean)).float().log_softmax(-1)

    def divergence(keep: Tensor) -> Tensor:
        found = problem.patched_logits(replacement, 1 - keep).float().log_softmax(-1)
        return functional.kl_div(found, wanted, log_target=True, reduction="none").sum(-1)

    return divergence


@technique(
    cites="Cao, Sanh & Rush 2021, Low-Complexity Probing via Finding Subnetworks, section 3; "
    "Conmy et al. 2023, ACDC, appendix E.2",
    access="gradients",
    cost="steps forwards and backwards",
    needs=SMALL,
    quick=QUICK,
)
def subnetwork_probing(
    problem: CircuitProblem,
    *,
    steps: int = 60,
    learning_rate: float = 0.1,
    penalty: float = 3.0,
    n_pairs: int = 8,
) -> EdgeScores:
    """Learn hard concrete masks over nodes under an L0 penalty; an edge is as probable as the lesser end.

    Args:
        problem: the pairs and the graph.
        steps: of Adam. The papers take thousands at a rate of 0.001; a graph of a few dozen nodes
            needs far fewer at a high rate.
        learning_rate: of the masks.
        penalty: weight of the expected share of nodes that are kept, against the divergence in nats.
        n_pairs: pairs of inputs.
    """
    problem = problem.first(n_pairs)
    divergence, generator = _divergence(problem), problem.generator()
    shape = problem.graph.shape
    log_alpha = hard_concrete.start(shape[:1], 0.9, problem.model.device)
    adam = torch.optim.Adam([log_alpha], lr=learning_rate)
    for _ in range(steps):
        each = hard_concrete.sample(log_alpha.expand(len(problem.clean), -1), generator)
        keep = each[:, :, None].expand(-1, *shape)
        loss = divergence(keep).mean() + penalty * hard_concrete.expected_l0(log_alpha).mean()
        (log_alpha.grad,) = torch.autograd.grad(loss, log_alpha)
        adam.step()
    return EdgeScores(scores=between_nodes(problem.model, hard_concrete.expected_l0(log_alpha.detach())))


@technique(
    cites="Bhaskar, Wettig, Friedman & Chen 2024, Finding Transformer Circuits with Edge Pruning, section 3",
    access="gradients",
    cost="steps forwards and backwards",
    needs=SMALL,
    quick=QUICK,
)
def edge_pruning(
    problem: CircuitProblem,
    *,
    steps: int = 120,
    learning_rate: float = 0.05,
    ascent_rate: float = 2.0,
    sparsity: float = 0.98,
    n_pairs: int = 8,
) -> EdgeScores:
    """Learn a hard concrete mask for each edge; Lagrange multipliers pull them to a sparsity.

    A masked edge carries what it carries on the corrupted input, in part while it is learned. The
    multipliers of (s - t) and (s - t)^2 rise by gradient ascent, and the wanted sparsity t rises
    linearly during the first half, as in the paper.

    Args:
        problem: the pairs and the graph.
        steps: of Adam; the paper takes 3,000 for GPT-2.
        learning_rate: of the masks; 0.8 in the paper, which is too noisy for so few steps.
        ascent_rate: learning rate of the multipliers, 0.8 in the paper.
        sparsity: share of edges that are to be masked in the end.
        n_pairs: pairs of inputs.
    """
    problem = problem.first(n_pairs)
    divergence, generator = _divergence(problem), problem.generator()
    valid = problem.graph.valid.to(problem.model.device)
    log_alpha = hard_concrete.start(problem.graph.shape, 0.95, problem.model.device)
    multipliers = torch.zeros(2, device=problem.model.device, requires_grad=True)
    adam = torch.optim.Adam([log_alpha], lr=learning_rate)
    ascent = torch.optim.Adam([multipliers], lr=ascent_rate, maximize=True)
    for step in range(steps):
        each = log_alpha.expand(len(problem.clean), -1, -1)  # a mask of its own for every input
        loss = divergence(hard_concrete.sample(each, generator)).mean()
        wanted = sparsity * min(1.0, 2 * (step + 1) / steps)
        gap = wanted - (1 - hard_concrete.expected_l0(log_alpha)[valid].mean())
        loss = loss + multipliers[0] * gap + multipliers[1] * gap.square()
        log_alpha.grad, multipliers.grad = torch.autograd.grad(loss, [log_alpha, multipliers])
        adam.step()
        ascent.step()
    return EdgeScores(scores=log_alpha.detach(), signed=True)


@technique(
    cites="Li & Janson 2024, Optimal Ablation for Interpretability, section 4 (uniform gradient sampling)",
    access="gradients",
    cost="steps forwards and backwards",
    needs=SMALL,
    quick=QUICK,
)
def ugs(
    problem: CircuitProblem,
    *,
    steps: int = 80,
    learning_rate: float = 0.1,
    penalty: float = 20.0,
    first: float = 0.9,
    n_pairs: int = 8,
) -> EdgeScores:
    """Learn how probable each edge is: some edges are kept in part, at random, and their slopes averaged.

    For each input an edge with probability p is kept by a uniform share with probability p (1 - p), and
    otherwise wholly with probability p. The slope in the uniform share has the mean of the difference
    that the edge makes, and its sum over those inputs estimates the gradient in the logit of p.

    Note:
        On the one cell of the quick tier its seeds differ too much for a lower bound above 0 (skill about
        0.5): 80 steps are far fewer than the paper takes.

    Args:
        problem: the pairs and the graph.
        steps: of Adam.
        learning_rate: of the logits.
        penalty: weight of the expected share of edges that are kept, against the divergence in nats.
        first: how probable every edge is in the beginning. At one half a chain of a few edges is hardly
            ever whole, and its edges have no slope.
        n_pairs: pairs of inputs.
    """
    problem = problem.first(n_pairs)
    divergence, generator = _divergence(problem), problem.generator()
    logits = torch.full(problem.graph.shape, first, device=problem.model.device).logit()
    adam = torch.optim.Adam([logits], lr=learning_rate)
    for _ in range(steps):
        keep, partly = sample_uniform(logits.sigmoid(), len(problem.clean), generator)
        keep.requires_grad_()
        (slopes,) = torch.autograd.grad(divergence(keep).sum(), keep)
        probable = logits.sigmoid()
        share = penalty * probable * (1 - probable) / problem.graph.n_edges
        logits.grad = (slopes * partly).mean(0) + share
        adam.step()
    return EdgeScores(scores=logits.detach(), signed=True)


def sample_uniform(probable: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return masks (n, ...) as uniform gradient sampling draws them, and where they are uniform shares."""
    shape = (n, *probable.shape)
    first, second, third = torch.rand((3, *shape), generator=generator).to(probable)
    partly = first < probable * (1 - probable)
    whole = (second < probable).to(probable)
    return torch.where(partly, third, whole), partly
