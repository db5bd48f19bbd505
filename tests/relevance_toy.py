"""A small ReLU network, all of whose numbers follow from a formula, for rules of relevance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OUTPUTS = (2, 0)


def wave(*shape: int, speed: float) -> Tensor:
    """Return a tensor of the sines of 1, 2, 3 ... times ``speed``."""
    count = torch.Size(shape).numel()
    return torch.sin(speed * torch.arange(1, count + 1, dtype=torch.float64)).float().view(shape)


def relu_network(*, bias: bool = True) -> nn.Sequential:
    """Return two convolutions and a linear layer, with ReLUs between them: (n, 3, 8, 8) -> (n, 3)."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=bias),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, bias=bias),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 3, bias=bias),
    )
    for index, parameter in enumerate(network.parameters()):
        parameter.data.copy_(0.5 * wave(*parameter.shape, speed=1.1 + 0.37 * index))
    return network.eval().requires_grad_(False)


def pixels() -> Tensor:
    """Return two inputs (2, 3, 8, 8) of either sign."""
    return wave(2, 3, 8, 8, speed=0.77)
