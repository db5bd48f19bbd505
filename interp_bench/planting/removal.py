"""Take directions out of a weight in place, a slab at a time, so that no second copy of it is made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_SLAB = 1 << 20  # entries: a few MiB, which stay in the processor's cache between the steps
_WIDE = 1 << 20  # entries of a matrix from which on sums are kept in float32


@torch.no_grad()
def remove(matrix: Tensor, left: Tensor, right: Tensor) -> None:
    """Subtract ``left @ (right.T @ matrix)`` from a matrix in place.

    With orthonormal ``left = right`` what is left is orthogonal to these directions; with a gain
    ``g`` in front of the matrix, ``left / g`` and ``right * g`` make that so behind the gain.

    Args:
        matrix: (d, n), of any dtype and layout; a view into a weight.
        left: (d, k).
        right: (d, k).
    """
    dtype = torch.float32 if matrix.numel() >= _WIDE or matrix.device.type == "mps" else torch.float64
    left, right = (part.to(matrix.device, dtype) for part in (left, right))
    if matrix.stride(0) == 1:
        for part in _slabs(matrix.T):  # each column of the matrix lies in one piece
            rows = part.to(dtype)
            part.copy_(rows.addmm(rows @ right, left.T, alpha=-1))
        return
    inside = torch.zeros(right.shape[1], matrix.shape[1], dtype=dtype, device=matrix.device)
    start = 0
    for part in _slabs(matrix):
        inside.addmm_(right[start : start + len(part)].T, part.to(dtype))
        start += len(part)
    start = 0
    for part in _slabs(matrix):
        part.copy_(part.to(dtype).addmm(left[start : start + len(part)], inside, alpha=-1))
        start += len(part)


def _slabs(matrix: Tensor) -> Iterator[Tensor]:
    return iter(matrix.split(max(1, _SLAB // matrix.shape[1])))
