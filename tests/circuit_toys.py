"""Circuits small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace

import torch

from interp_bench.tracks.circuits import CircuitProblem
from tests.model.cnns import build_cnn, pixels
from tests.model.conftest import build, sample


def small_problem(kind: str, n: int = 3) -> CircuitProblem:
    """A host of this kind with random weights and random pairs."""
    if kind in ("linear", "resnet", "convnext"):
        outcomes = torch.tensor([[2, 3]] * n)
        model = build_cnn(kind)
        return CircuitProblem(
            model=model, seed=0, clean=pixels(0, n), corrupted=pixels(1, n), outcomes=outcomes
        )
    model, outcomes = build(kind), torch.tensor([[3, 4]] * n)
    return CircuitProblem(
        model=model, seed=0, clean=sample(model, 0, n), corrupted=sample(model, 1, n), outcomes=outcomes
    )


def linear_problem(n: int = 4) -> CircuitProblem:
    """A GPT-2 whose MLPs and softmaxes do nothing, with a metric that is linear in the last residual."""
    problem = small_problem("gpt2", n)
    for block in problem.model.transformer.blocks:
        block.mlp_out.module.weight.data.zero_()  # type: ignore[union-attr, operator]
        block.query.module.weight.data[:, :64].zero_()  # type: ignore[union-attr, index]  # uniform attention
        block.norm1.forward = torch.clone  # a new tensor, as a norm makes one
        block.norm2.forward = torch.clone
    problem.model.transformer.final_norm.forward = torch.clone
    return problem


def precise(problem: CircuitProblem) -> CircuitProblem:
    """The same problem in double precision: in single precision small scores are off by 1e-4 of theirs."""
    problem.model.module.double()
    clean, corrupted = (
        inputs.double() if inputs.is_floating_point() else inputs
        for inputs in (problem.clean, problem.corrupted)
    )
    return replace(problem, clean=clean, corrupted=corrupted)


def assert_same_scores(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Every score is the wanted one to 1e-5 of its own size, or to 1e-6 of the largest."""
    least = 1e-6 * float(wanted.abs().max())
    assert least > 0
    torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-5, atol=least)


CHAIN = [("stem.g0", "layer1.0.g0"), ("layer1.0.g0", "layer1.1.g0"), ("layer1.1.g0", "logits")]


def chain_problem(n: int = 3) -> CircuitProblem:
    """A linear CNN of identities whose classifier reads group 0 alone: only the edges of ``CHAIN`` matter."""
    problem = small_problem("linear", n)
    module = problem.model.module
    for layer in module.layer1:  # type: ignore[union-attr]
        layer.conv.weight.data.zero_()
    module.fc.weight.data[:, 3:] = 0  # type: ignore[union-attr, index]
    module.fc.weight.data *= 400  # type: ignore[union-attr, operator]
    return problem
