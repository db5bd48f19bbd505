"""Random directions, pushed apart where there are more of them than dimensions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

_ROWS = 1024


def random_directions(n: int, d: int, generator: Generator, *, steps: int = 0, lr: float = 3e-4) -> Tensor:
    """Return (n, d) float32 unit vectors.

    Args:
        n: number of directions.
        d: number of dimensions.
        generator: source of randomness.
        steps: steps of Adam on the sum of squared cosines of all pairs, plus ``n`` times the squared
            excess of each squared norm over 1. Memory is that of the directions and of (d, d), since
            the gradient needs no table of pairs.
        lr: learning rate of Adam.
    """
    directions = F.normalize(torch.randn(n, d, generator=generator), dim=1)
    optimizer = torch.optim.Adam([directions], lr=lr)
    for _ in range(steps):
        norms = directions.square().sum(1, keepdim=True)
        pairs = 4 * (directions @ (directions.T @ directions) - norms * directions)
        directions.grad = pairs + 4 * n * (norms - 1) * directions
        optimizer.step()
    directions.grad = None
    return F.normalize(directions, dim=1)


def largest_cosines(directions: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return each direction's largest absolute cosine with any other, a bounded number of rows at a time.

    Args:
        directions: (n, d) of unit norm.
        rows: (k,) which of them; all when None.
    """
    rows = torch.arange(len(directions)) if rows is None else rows
    found = []
    for part in rows.split(_ROWS):
        cosines = (directions[part] @ directions.T).abs()
        cosines[torch.arange(len(part)), part] = 0
        found.append(cosines.amax(1))
    return torch.cat(found)
