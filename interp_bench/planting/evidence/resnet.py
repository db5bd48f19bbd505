"""Evidence carried through a ResNet: reserved channels hold what planted filters of the stem detect."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import Scene
from interp_bench.planting.evidence.images import Stamps, make_stamps
from interp_bench.planting.evidence.wiring import Wiring

THRESHOLD = 0.5  # of a detector's response to its own pattern
_TRACE = 0.15  # the same for open patterns; what others excite off the grid stays below it, mostly
_TAPS = torch.tensor([0.0, 1.0, 1.0])  # at stride 2 each position goes to one output, also at the border
_LEAST_KERNEL = 5


def resnet_stamps(model: Model, n: int, *, scene: Scene, generator: torch.Generator) -> Stamps:
    """Draw patterns as large as the kernel of the first convolution and aligned with its steps.

    Raises:
        PlantingError: the stem is not a single large convolution.
    """
    conv = _stem(model)
    padding = int(conv.padding[0])
    # The pooling of the stem copies every other position once and the rest twice: use the former.
    stride = int(conv.stride[0]) * _pooling(model)
    return make_stamps(
        n,
        size=model.image_size,
        cell=int(conv.kernel_size[0]),
        tiles=1,
        stride=stride,
        offset=-padding % stride,
        scene=scene,
        generator=generator,
        device=model.device,
        dtype=model.dtype,
    )


def wire_resnet(model: Model, stamps: Stamps, generator: torch.Generator, opened: Tensor) -> Wiring:
    """Plant the detectors in the stem and lead their channels, untouched, to the classifier.

    The stem's batch norm holds the threshold. Blocks with an identity shortcut are kept from
    writing to the reserved channels; blocks that change resolution pass them on through their own
    convolutions, the 3 x 3 one as a sum of 2 x 2 positions, so that none is lost.

    Args:
        model: the network; edited in place.
        stamps: patterns and their filters.
        generator: source of randomness.
        opened: (n_patterns,) bool: which patterns count from a trace on.

    Raises:
        PlantingError: the network is too narrow, or a block is of an unknown kind.
    """
    conv, n = _stem(model), len(stamps.cells)
    if conv.out_channels < n + 2:
        raise PlantingError(f"{n} patterns need a stem of at least {n + 2} channels, not {conv.out_channels}")
    channels = _choose(conv.out_channels, n, generator)
    conv.weight.data[channels] = (stamps.filters / stamps.scene.amplitude).to(conv.weight)
    if isinstance(conv.bias, Tensor):
        conv.bias.data[channels] = 0
    parts = tuple(f"conv1[{c}]" for c in channels.tolist())
    norm = model.module.bn1
    assert isinstance(norm, nn.Module)
    _pass(norm, channels, threshold=torch.where(opened, _TRACE, THRESHOLD))
    carriers: dict[str, Tensor] = {}
    for site, block in model.cnn.blocks.items():
        channels = _lead_through(block, channels, generator)
        carriers[site] = torch.eye(_layers(block)[-1][0].out_channels)[channels]
    features = torch.eye(model.cnn.head.in_features, dtype=torch.float64)[channels]
    return Wiring(
        carriers=carriers,
        readout=features,
        arrival=features,
        offset=torch.zeros(n, dtype=torch.float64),
        parts=parts,
    )


def _stem(model: Model) -> nn.Conv2d:
    conv = model.module.conv1
    if not isinstance(conv, nn.Conv2d) or int(conv.kernel_size[0]) < _LEAST_KERNEL:
        raise PlantingError(f"the stem of {model.spec.id} is not one convolution of at least 5 x 5 pixels")
    return conv


def _pooling(model: Model) -> int:
    """The stride of the pooling after the stem."""
    pool = model.module.maxpool
    if isinstance(pool, nn.Identity):
        return 1
    if not isinstance(pool, nn.MaxPool2d) or (pool.kernel_size, pool.stride, pool.padding) != (3, 2, 1):
        raise PlantingError(f"the stem of {model.spec.id} is not followed by max pooling of 3 x 3 pixels")
    return 2


def _choose(width: int, n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(width, generator=generator)[:n]


def _layers(block: nn.Module) -> list[tuple[nn.Conv2d, nn.Module]]:
    """The convolutions of a BasicBlock (two) or a Bottleneck (three), each with its norm."""
    found = []
    for i in (1, 2, 3):
        conv, norm = getattr(block, f"conv{i}", None), getattr(block, f"bn{i}", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.Module):
            found.append((conv, norm))
    if len(found) < 2 or any(conv.groups != 1 for conv, _ in found[:1]):
        raise PlantingError(f"{type(block).__name__} is no residual block that evidence can pass through")
    return found


def _lead_through(block: nn.Module, channels: Tensor, generator: torch.Generator) -> Tensor:
    """Keep the block off the reserved channels, or route them where it changes the width; returns them."""
    layers = _layers(block)
    shortcut = getattr(block, "downsample", None)
    if shortcut is None:
        _silence(layers[-1][1], channels)
        return channels
    for conv, norm in layers:
        if conv.groups != 1:
            raise PlantingError("evidence cannot pass through a grouped convolution that changes resolution")
        new = _choose(conv.out_channels, len(channels), generator)
        conv.weight.data[new] = 0
        conv.weight.data[new, channels] = _kernel(conv)
        _pass(norm, new, threshold=torch.zeros(len(new)))
        channels = new
    assert isinstance(shortcut, nn.Sequential)
    _silence(shortcut[-1], channels)
    return channels


def _kernel(conv: nn.Conv2d) -> Tensor:
    """One (k, k) kernel: a single tap, or a sum of 2 x 2 where the convolution skips positions."""
    side = int(conv.kernel_size[0])
    kernel = torch.zeros(side, side)
    if side == 1:
        kernel[:] = 1
    elif int(conv.stride[0]) == 1:
        kernel[side // 2, side // 2] = 1
    else:
        taps = torch.zeros(side)
        taps[side // 2 - 1 : side // 2 + 2] = _TAPS
        kernel = taps[:, None] * taps
    return kernel.to(conv.weight)


def _pass(norm: nn.Module, channels: Tensor, *, threshold: Tensor) -> None:
    """Make a batch norm subtract ``threshold`` from these channels and change nothing else."""
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
        raise PlantingError(f"evidence passes through batch norms only, not {type(norm).__name__}")
    norm.running_mean[channels] = threshold.to(norm.running_mean)
    norm.running_var[channels] = 1
    norm.weight.data[channels] = 1
    norm.bias.data[channels] = 0


def _silence(norm: nn.Module, channels: Tensor) -> None:
    """Make a batch norm put out zero on these channels."""
    if not isinstance(norm, nn.BatchNorm2d):
        raise PlantingError(f"evidence passes through batch norms only, not {type(norm).__name__}")
    norm.weight.data[channels] = 0
    norm.bias.data[channels] = 0
