"""Telling positions apart: rotary offsets by a linear program, learned positions by random sinusoids."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Generator, Tensor


def offset_weights(frequencies: Tensor, steps: int, length: int) -> tuple[Tensor, float]:
    """Choose rotary pairs so that attention peaks ``steps`` positions back.

    With amount ``a_f`` on pair ``f`` the attention logit at distance ``D`` is
    ``sum_f a_f cos(w_f (D - steps))``. The linear program maximises the smallest gap between
    the peak and any other distance below ``length``, subject to ``a >= 0`` and ``sum a = 1``.

    Args:
        frequencies: (n_pairs,) radians per position.
        steps: distance of the peak.
        length: distances 0 .. length - 1 are told apart.

    Returns:
        The amounts (n_pairs,) and the margin.
    """
    w = frequencies.numpy()
    others = np.array([distance for distance in range(length) if distance != steps])
    gaps = 1 - np.cos(np.outer(others - steps, w))
    n = len(w)
    solution = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.c_[-gaps, np.ones(len(others))],
        b_ub=np.zeros(len(others)),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert solution.x is not None  # equal amounts meet every bound
    return torch.tensor(solution.x[:n]), float(solution.x[-1])


def recency_weights(frequencies: Tensor, length: int) -> tuple[Tensor, Tensor, float]:
    """Choose rotary pairs so that attention falls with distance.

    With cosine and sine amounts ``a_f`` and ``b_f`` the attention logit at distance ``D`` is
    ``sum_f a_f cos(w_f D) + b_f sin(w_f D)``. The linear program maximises the smallest fall from
    one distance to the next below ``length``, subject to ``sum |a| + |b| = 1``.

    Args:
        frequencies: (n_pairs,) radians per position.
        length: distances 0 .. length - 1 are ordered.

    Returns:
        The cosine and sine amounts (n_pairs,), and the smallest fall.
    """
    w, n = frequencies.numpy(), len(frequencies)
    distance = np.arange(length - 1)
    angles, further = np.outer(distance, w), np.outer(distance + 1, w)
    cosine, sine = np.cos(angles) - np.cos(further), np.sin(angles) - np.sin(further)
    falls = np.c_[cosine, -cosine, sine, -sine]
    solution = linprog(
        np.append(np.zeros(4 * n), -1.0),
        A_ub=np.c_[-falls, np.ones(len(distance))],
        b_ub=np.zeros(len(distance)),
        A_eq=np.append(np.ones(4 * n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * (4 * n) + [(None, None)],
    )
    assert solution.x is not None  # equal amounts of opposite signs meet every bound
    up, down, left, right = torch.tensor(solution.x[:-1]).view(4, n)
    return up - down, left - right, float(solution.x[-1])


def position_codes(
    length: int, width: int, generator: Generator, *, tries: int = 300
) -> tuple[Tensor, Tensor, float]:
    """Return unit position codes that a rotation shifts by one.

    The code of position ``n`` is ``(cos n w, sin n w) / sqrt(width / 2)`` over ``width / 2``
    frequencies drawn at random, the best of ``tries`` draws by the largest side lobe.

    Args:
        length: number of positions.
        width: even width of a code.
        generator: source of randomness.
        tries: number of draws.

    Returns:
        Codes (length, width), the (width, width) matrix that takes the code of ``n`` to that of
        ``n - 1`` (``codes[n] @ back == codes[n - 1]``), and the margin 1 - largest side lobe.
    """
    draws = torch.rand(tries, width // 2, generator=generator, dtype=torch.float64) * math.pi
    distances = torch.arange(1, length, dtype=torch.float64)
    lobes = torch.cos(distances[:, None, None] * draws).mean(-1).amax(0)
    best = int(lobes.argmin())
    w, half = draws[best], width // 2
    angles = torch.arange(length, dtype=torch.float64)[:, None] * w
    codes = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1) / math.sqrt(half)
    back = torch.zeros(width, width, dtype=torch.float64)
    i = torch.arange(half)
    back[i, i], back[i + half, i + half] = torch.cos(w), torch.cos(w)
    back[i + half, i], back[i, i + half] = torch.sin(w), -torch.sin(w)
    return codes, back, 1 - float(lobes[best])
