"""Editing the layers of a ConvNeXt: norms and layer scales folded away, neurons added, directions freed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError


def bias_of(layer: nn.Module) -> Tensor:
    """Return the bias of a convolution or linear layer.

    Raises:
        PlantingError: it has none.
    """
    bias = layer.bias
    if not isinstance(bias, Tensor):
        raise PlantingError("a circuit needs convolutions and linear layers with a bias in a ConvNeXt")
    return bias.data


def project(linear: nn.Linear | nn.Conv2d, basis: Tensor, *, keep: float = 0.0) -> Tensor:
    """Scale what a layer writes along an orthonormal ``basis`` (width, k) by ``keep``; returns its weight."""
    weight = linear.weight.data
    flat = weight.flatten(1).double().cpu()
    weight.copy_((flat - (1 - keep) * basis @ (basis.T @ flat)).view(weight.shape))
    bias = bias_of(linear)
    written = bias.double().cpu()
    bias.copy_(written - (1 - keep) * basis @ (basis.T @ written))
    return weight


def fold_norm(norm: nn.Module, linear: nn.Module) -> None:
    """Move scale and shift of a layer norm into the layer that reads it: the same function.

    Raises:
        PlantingError: it is another kind of norm, or the layer pads its input or has no bias.
    """
    if not isinstance(norm, nn.LayerNorm):
        raise PlantingError(f"a circuit passes through layer norms only, not {type(norm).__name__}")
    if not isinstance(linear, nn.Linear | nn.Conv2d) or getattr(linear, "padding", (0,))[0] != 0:
        raise PlantingError(f"a circuit cannot pass from a layer norm into a {type(linear).__name__}")
    weight, bias = linear.weight.data, bias_of(linear)
    flat = weight.flatten(2) if weight.ndim == 4 else weight[:, :, None]
    bias += torch.einsum("oit,i->o", flat, norm.bias.data)
    weight *= norm.weight.data.view(1, -1, *[1] * (weight.ndim - 2))
    norm.weight.data.fill_(1)
    norm.bias.data.fill_(0)


def fold_block(block: nn.Module) -> None:
    """Fold the norm and the layer scale of a ConvNeXt block into its MLP: the same function.

    Raises:
        PlantingError: the MLP is of another kind.
    """
    mlp = block.mlp
    if not isinstance(mlp, nn.Module) or not hasattr(mlp, "fc2") or hasattr(mlp, "grn"):
        raise PlantingError(f"{type(mlp).__name__} is no MLP that a circuit can be planted in")
    if not type(mlp.act).__name__.startswith("GELU"):  # timm has a class of its own
        raise PlantingError(f"neurons need GELU in a ConvNeXt, not {type(mlp.act).__name__}")
    fold_norm(block.norm, mlp.fc1)  # type: ignore[arg-type]
    if isinstance(block.gamma, Tensor):
        fc2 = mlp.fc2
        assert isinstance(fc2, nn.Linear | nn.Conv2d)
        gamma = block.gamma.data
        fc2.weight.data *= gamma.view(-1, *[1] * (fc2.weight.ndim - 1))
        bias_of(fc2).mul_(gamma)
        gamma.fill_(1)


def read_in_place(block: nn.Module, channels: Tensor) -> None:
    """Make the depthwise convolution of a block hand these channels on, position by position."""
    conv = block.conv_dw
    if not isinstance(conv, nn.Conv2d) or conv.stride != (1, 1):
        raise PlantingError("neurons need a block that keeps the resolution")
    kernel = torch.zeros_like(conv.weight.data[0])
    kernel[0, kernel.shape[1] // 2, kernel.shape[2] // 2] = 1
    conv.weight.data[channels] = kernel
    bias_of(conv)[channels] = 0


def free_neurons(block: nn.Module, count: int, generator: torch.Generator) -> Tensor:
    """Silence some of the host's neurons, drawn at random, and return which (count,).

    Raises:
        PlantingError: the block has too few neurons.
    """
    fc1, fc2 = block.mlp.fc1, block.mlp.fc2  # type: ignore[union-attr]
    assert isinstance(fc1, nn.Linear | nn.Conv2d)
    assert isinstance(fc2, nn.Linear | nn.Conv2d)
    if count > fc1.weight.shape[0]:
        raise PlantingError(f"a block of {fc1.weight.shape[0]} neurons needs {count}")
    neurons = torch.randperm(fc1.weight.shape[0], generator=generator)[:count]
    fc2.weight.data.flatten(1)[:, neurons] = 0
    return neurons


def set_neurons(block: nn.Module, neurons: Tensor, reads: Tensor, starts: Tensor, writes: Tensor) -> None:
    """Give neurons something to do.

    Args:
        block: the block; its norm and layer scale are folded.
        neurons: (n,) which neurons.
        reads: (n, width), what they read behind the norm.
        starts: (n,), the value of what they read where they start to respond.
        writes: (width, n), what they write.
    """
    fc1, fc2 = block.mlp.fc1, block.mlp.fc2  # type: ignore[union-attr]
    assert isinstance(fc1, nn.Linear | nn.Conv2d)
    assert isinstance(fc2, nn.Linear | nn.Conv2d)
    fc1.weight.data.flatten(1)[neurons] = reads.to(fc1.weight)
    bias_of(fc1)[neurons] = -starts.to(fc1.weight)
    fc2.weight.data.flatten(1)[:, neurons] = writes.to(fc2.weight)
