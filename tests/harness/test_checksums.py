"""Checksums see every change of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from interp_bench.harness.checksums import checksum, fingerprint
from interp_bench.harness.guards import borrowed_generators

if TYPE_CHECKING:
    from tests.harness.conftest import Bench


@pytest.mark.parametrize("size", [10, 400_000, 1_000_003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.uint8])
def test_a_checksum_sees_every_element(size: int, dtype: torch.dtype) -> None:
    tensor = torch.arange(size).remainder(100).to(dtype)
    before = checksum(tensor)
    assert checksum(tensor.clone()) == before
    for index in (0, size // 3, size - 1):
        changed = tensor.clone()
        changed[index] += 1
        assert checksum(changed) != before
    assert checksum(tensor.reshape(1, -1)) != before


@pytest.mark.parametrize("rows", [6, 600])
def test_a_checksum_sees_order_and_views(rows: int) -> None:
    tensor = torch.randn(rows, 1000, generator=torch.Generator().manual_seed(0))
    assert checksum(tensor.flip(0)) != checksum(tensor)
    assert checksum(tensor.T) == checksum(tensor.T.contiguous())
    assert checksum(tensor[1:]) == checksum(tensor[1:].clone())
    assert checksum(tensor.view(-1)[1:]) == checksum(tensor.view(-1)[1:].clone())
    assert checksum(torch.empty(0)) == checksum(torch.empty(0))


def test_a_fingerprint_names_parameters_and_buffers(bench: Bench) -> None:
    with borrowed_generators(0):
        network = bench.fakes.Network()
    assert set(fingerprint(network)) == {"0.weight", "0.bias", "count"}
