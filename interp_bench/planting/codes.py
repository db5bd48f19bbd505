"""Codes: random orthonormal frames and well-spread unit vectors, all in float64 on the CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def orthonormal(d: int, k: int, generator: Generator, avoid: Tensor | None = None) -> Tensor:
    """Return a random (d, k) orthonormal frame.

    Args:
        d: dimension of the space.
        k: number of columns, at most ``d`` (less the rank of ``avoid``).
        generator: source of randomness.
        avoid: (d, m) directions that every column is orthogonal to.
    """
    frame = torch.randn(d, k, generator=generator, dtype=torch.float64)
    if avoid is not None:
        basis, _ = torch.linalg.qr(avoid.double())
        frame = frame - basis @ (basis.T @ frame)
    columns: Tensor = torch.linalg.qr(frame)[0]
    return columns


def spread_codes(n: int, d: int, generator: Generator, *, steps: int = 300) -> Tensor:
    """Return (n, d) unit codes: orthonormal while they fit, repelled from each other when they do not."""
    if n <= d:
        return orthonormal(d, n, generator).T.contiguous()
    codes = torch.randn(n, d, generator=generator, dtype=torch.float64)
    with torch.enable_grad():
        codes.requires_grad_()
        optimizer = torch.optim.Adam([codes], lr=0.03)
        for _ in range(steps):
            unit = F.normalize(codes, dim=1)
            overlap = unit @ unit.T - 2 * torch.eye(n, dtype=torch.float64)
            loss = torch.logsumexp(20 * overlap.flatten(), dim=0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return F.normalize(codes.detach(), dim=1)
