"""Small convolutional hosts, built in memory."""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

from interp_bench.model.handle import Model
from interp_bench.registry import load_registry

SIDE = 64


class Sum(nn.Module):
    """A residual block: the input plus a 3 x 3 convolution of it, without a nonlinearity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class ResNet(nn.Module):
    """A linear network with a stem, two residual blocks and a classifier; six channels in two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 1, bias=False)
        self.bn1, self.act1, self.maxpool = nn.Identity(), nn.Identity(), nn.AvgPool2d(16)
        self.layer1 = nn.Sequential(Sum(6), Sum(6))
        self.fc = nn.Linear(6, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))
        return self.fc(self.layer1(x).mean((2, 3)))


def build_cnn(kind: str) -> Model:
    """Build a host: ``linear``, or a narrow ``resnet``, ``bottleneck`` or ``convnext`` of timm."""
    registry = load_registry()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "linear":
            module: nn.Module = ResNet()
        elif kind == "convnext":
            module = timm.create_model(
                "convnext_atto", depths=(1, 2, 1, 1), dims=(12, 16, 16, 24), ls_init_value=1.0, num_classes=8
            )
        else:
            sizes = {"stem_width": 16, "channels": (16, 24, 24, 32), "layers": (1, 2, 1, 1)}
            name = "resnet18" if kind == "resnet" else "resnet50"
            module = timm.create_model(name, zero_init_last=False, num_classes=8, **sizes)
        for weight in module.parameters():
            if weight.ndim >= 2:
                weight.data.normal_(0, 1.4 / weight[0].numel() ** 0.5)
    spec = registry.get("convnext-slim-20k" if kind == "convnext" else "resnet18")
    return Model(spec, module.eval().requires_grad_(False))


def pixels(seed: int, batch: int = 3) -> Tensor:
    """Return random pixels."""
    return torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
