"""Edges replaced in part: shares of one are cuts, and gradients reach every share."""

from __future__ import annotations

import pytest
import torch

from interp_bench.model.edges import patched_logits
from tests.circuit_toys import small_problem


@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox", "vit", "resnet", "convnext"])
def test_whole_shares_are_cuts(kind: str) -> None:
    problem = small_problem(kind)
    replacement = problem.source_outputs(problem.corrupted)
    generator = torch.Generator().manual_seed(0)
    for shape in (problem.graph.shape, (3, *problem.graph.shape)):
        cut = torch.rand(shape, generator=generator) < 0.3
        with torch.no_grad():
            by_cut, by_share = (
                patched_logits(problem.model, problem.clean, replacement, c) for c in (cut, cut.float())
            )
        torch.testing.assert_close(by_cut, by_share, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(by_cut, problem.model.logits(problem.clean), atol=1e-3)


@pytest.mark.parametrize("kind", ["gpt2", "convnext"])
def test_gradients_reach_the_shares(kind: str) -> None:
    """Against differences in float64."""
    problem = small_problem(kind)
    problem.model.module.double()
    clean = problem.clean.double() if problem.clean.is_floating_point() else problem.clean
    corrupted = problem.corrupted.double() if clean.is_floating_point() else problem.corrupted
    replacement = problem.source_outputs(corrupted)
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(problem.graph.shape, generator=generator, dtype=torch.float64)

    def metric(cut: torch.Tensor) -> torch.Tensor:
        return problem.metric(patched_logits(problem.model, clean, replacement, cut)).sum()

    cut = share.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(metric(cut), cut)
    assert bool((slopes[~problem.graph.valid] == 0).all())
    direction = torch.rand(share.shape, generator=generator, dtype=torch.float64) - 0.5
    with torch.no_grad():
        difference = (metric(share + 1e-5 * direction) - metric(share - 1e-5 * direction)) / 2e-5
    torch.testing.assert_close((slopes * direction).sum(), difference, rtol=1e-4, atol=1e-8)
