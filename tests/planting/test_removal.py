"""Directions are taken out of weights in place, whatever the layout of the weight."""

from __future__ import annotations

import pytest
import torch

from interp_bench.planting.codes import orthonormal
from interp_bench.planting.removal import remove


@pytest.mark.parametrize("n", [7, 90_000])
@pytest.mark.parametrize("transposed", [False, True])
def test_what_is_left_is_orthogonal_behind_a_gain(n: int, transposed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    frame = orthonormal(12, 3, generator)
    gain = torch.rand(12, generator=generator, dtype=torch.float64) + 0.5
    drawn = torch.randn(12, n, generator=generator)
    weight = drawn.T.contiguous().T if transposed else drawn.clone()
    remove(weight, frame / gain[:, None], frame * gain[:, None])
    behind = gain[:, None] * weight.double()
    assert float((frame.T @ behind).abs().max()) < 2e-6
    wanted = gain[:, None] * drawn.double()
    torch.testing.assert_close(behind, wanted - frame @ (frame.T @ wanted), rtol=1e-5, atol=2e-6)


def test_half_of_a_direction_goes() -> None:
    weight = torch.tensor([[2.0], [5.0]], dtype=torch.bfloat16)
    first = torch.tensor([[1.0], [0.0]])
    remove(weight, 0.5 * first, first)
    assert weight.tolist() == [[1.0], [5.0]]
