"""Directions that carry values inside a channel group, safe from layer norms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """How a layer holds one stream: value i lies along ``vectors[i]``.

    Attributes:
        vectors: (n, width) of unit length, zero outside one group. They sum to zero over channels, so
            that a layer norm's subtraction of the mean neither changes nor spreads them.
    """

    vectors: Tensor

    @property
    def read(self) -> Tensor:
        """(n, width) vectors that give 1 on their own value, and 0 or less, the same, on all others."""
        return self.vectors


def draw_directions(n: int, width: int, group: slice, generator: torch.Generator) -> Directions:
    """Draw directions in a group: orthonormal, or the corners of a simplex where there is less room.

    Of the values of one stream only one is present at a time, so that a simplex tells them apart as well.

    Raises:
        PlantingError: the group has fewer than ``n`` channels.
    """
    size = group.stop - group.start
    if size < max(n, 2):
        raise PlantingError(f"groups of {size} channels are too few for {n} patterns of a kind")
    drawn = torch.randn(size, size - 1, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(drawn - drawn.mean(0)).Q  # (size, size - 1), orthogonal to the ones
    if n <= size - 1:
        inside = basis[:, :n].T
    else:
        corners = torch.eye(n, dtype=torch.float64) - 1 / n  # the corners lie in n - 1 dimensions
        inside = corners @ _helmert(n).T @ basis[:, : n - 1].T
        inside = inside / inside.norm(dim=1, keepdim=True)
    vectors = torch.zeros(n, width, dtype=torch.float64)
    vectors[:, group] = inside
    return Directions(vectors=vectors)


def _helmert(n: int) -> Tensor:
    """Return (n - 1, n) orthonormal rows that sum to zero (Helmert 1876), the same on every processor.

    A singular value decomposition would do but for its choice among equal singular values, which
    depends on the library.
    """
    k = torch.arange(1, n, dtype=torch.float64)[:, None]
    column = torch.arange(n)
    rows = (column < k).double() - k * (column == k)
    return rows / (k * (k + 1)).sqrt()


def span_of(directions: list[Directions]) -> Tensor:
    """Return (width, k), an orthonormal basis of all that these directions span."""
    stacked = torch.cat([d.vectors for d in directions])
    found = torch.linalg.svd(stacked.T, full_matrices=False)
    basis: Tensor = found.U[:, found.S > 1e-6]
    return basis
