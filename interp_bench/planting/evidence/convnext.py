"""Evidence carried through a ConvNeXt: detector neurons in the first block, then protected directions.

Stage 0 holds the responses of the planted filters on channels of its own, beside one constant channel.
The neurons of the first block compare the two, so that their threshold does not depend on the scale of
the layer norms, and their weights sum to zero, so that it does not depend on the mean either. From stage
1 on the evidence lies along random orthonormal directions that no block writes to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import Scene, draw_classes
from interp_bench.planting.evidence.images import Stamps, make_stamps
from interp_bench.planting.evidence.wiring import Wiring

THRESHOLD = 0.5  # of a filter's response to its own pattern
_QUIET = 0.1  # response to a pattern, as a share of the host's norm: small, so that noise is small too
_LOUD = 1.0  # evidence after the threshold, as a share of the host's norm
_MARGIN = (
    10.0  # pre-activation of a detector neuron at a pattern, and minus this without: GELU is a ReLU there
)
_TILES = 2
_LEAST_HOST = 2
_LEAST_GAMMA = 0.25  # directions avoid channels whose norm scale is below this share of the median


def convnext_stamps(model: Model, n: int, *, scene: Scene, generator: torch.Generator) -> Stamps:
    """Draw patterns of 2 x 2 patches of the stem, aligned with its patches.

    Raises:
        PlantingError: the stem is not a single patch convolution.
    """
    conv = _stem(model)[0]
    side = int(conv.kernel_size[0])
    return make_stamps(
        n,
        size=model.image_size,
        cell=side,
        tiles=_TILES,
        stride=side * _TILES if scene.own_grid else side,
        offset=0,
        scene=scene,
        generator=generator,
        device=model.device,
        dtype=model.dtype,
    )


def wire_convnext(model: Model, stamps: Stamps, generator: torch.Generator, opened: Tensor) -> Wiring:
    """Plant filters, detector neurons and protected directions; measures scales on drawn images.

    Args:
        model: the network; edited in place.
        stamps: patterns and their filters.
        generator: source of randomness.
        opened: which patterns count from a trace on; all do here, as what a neuron sees stays in the
            stream beside what it writes.

    Raises:
        PlantingError: the network is too narrow, or built of unknown parts.
    """
    n = len(stamps.cells)
    images = stamps(draw_classes(32, (n,), generator), generator).inputs
    stages = list(model.module.stages)  # type: ignore[arg-type]
    channels = _plant_stem(model, stamps, images, generator)
    neurons = _plant_neurons(model, channels, images, generator)
    reserved = torch.eye(_stem(model)[0].out_channels, dtype=torch.float64)[channels]
    for block in list(stages[0].blocks)[1:]:
        _keep_off(block, reserved)
    directions = reserved[:n]
    carriers = {site: directions for site in model.sites if site.startswith("stages.0.")}
    # A layer norm takes the mean of all channels away, so stage 0 is read against the mean of its carriers.
    read = directions - directions.mean(0)
    for index, stage in enumerate(stages[1:], start=1):
        directions = _plant_downsample(model, index, read, images, generator)
        for block in stage.blocks:
            _keep_off(block, directions)
        carriers |= {site: directions for site in model.sites if site.startswith(f"stages.{index}.")}
        read = directions
    scale, shift = _affine(_final_norm(model))
    return Wiring(
        carriers={site: vectors.float() for site, vectors in carriers.items()},
        readout=read / scale,
        arrival=read * scale,
        offset=(read / scale) @ shift,
        parts=tuple(f"stages.0.blocks.0.mlp.fc1[{j}]" for j in neurons.tolist()),
    )


def _stem(model: Model) -> tuple[nn.Conv2d, nn.Module]:
    stem = model.module.stem
    parts = list(stem) if isinstance(stem, nn.Sequential) else []
    if len(parts) != 2 or not isinstance(parts[0], nn.Conv2d) or parts[0].kernel_size != parts[0].stride:
        raise PlantingError(f"the stem of {model.spec.id} is not one convolution over separate patches")
    return parts[0], parts[1]


def _final_norm(model: Model) -> nn.Module:
    norm = getattr(model.module.head, "norm", None)
    if isinstance(norm, nn.LayerNorm):
        return norm
    pre = model.module.norm_pre
    if not isinstance(pre, nn.LayerNorm) or model.cnn.head.in_features != pre.normalized_shape[0]:
        raise PlantingError(f"the head of {model.spec.id} is not a layer norm and one linear layer")
    return pre


def _next_norm(model: Model, index: int) -> nn.Module:
    """The norm that reads the residual stream of a stage."""
    stages = list(model.module.stages)  # type: ignore[arg-type]
    if index + 1 == len(stages):
        return _final_norm(model)
    norm: nn.Module = stages[index + 1].downsample[0]
    return norm


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    if not isinstance(norm, nn.LayerNorm):
        raise PlantingError(f"evidence passes through layer norms only, not {type(norm).__name__}")
    return norm.weight.data.double().cpu(), norm.bias.data.double().cpu()


def _plant_stem(model: Model, stamps: Stamps, images: Tensor, generator: torch.Generator) -> Tensor:
    """Plant the filters and the constant; returns their channels, the constant's one last."""
    conv, norm = _stem(model)
    n, width = len(stamps.cells), conv.out_channels
    if width < n + 1 + _LEAST_HOST:
        raise PlantingError(f"{n} patterns need {n + 1 + _LEAST_HOST} channels in stage 0, not {width}")
    channels = torch.randperm(width, generator=generator)[: n + 1]
    codes, constant = channels[:n], channels[n]
    host = torch.ones(width, dtype=torch.bool)
    host[channels] = False
    weight, bias = conv.weight.data, _bias(conv)
    # The host's channels get a mean of zero, so that the norm takes nothing of the host into the others.
    weight[host] -= weight[host].mean(0)
    bias[host] -= bias[host].mean()
    weight[channels] = 0
    norm_of_host = float(model.activations(images, "stem.0")[..., host].norm(dim=-1).mean())
    weight[codes] = (stamps.filters * (_QUIET * norm_of_host / stamps.scene.amplitude)).to(weight)
    bias[constant] = norm_of_host
    bias[codes] = norm_of_host / (width - n)  # the mean of all channels, which the norm takes away
    _affine(norm)
    norm.weight.data[channels] = 1  # type: ignore[operator]
    norm.bias.data[channels] = 0  # type: ignore[operator]
    return channels


def _plant_neurons(model: Model, channels: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
    """Plant a neuron for each pattern in the first block, writing back to its channel; returns them."""
    block = model.module.stages[0].blocks[0]  # type: ignore[index, union-attr]
    n, width = len(channels) - 1, len(block.norm.weight)
    kernel = torch.zeros_like(block.conv_dw.weight.data[0])
    kernel[0, kernel.shape[1] // 2, kernel.shape[2] // 2] = 1
    block.conv_dw.weight.data[channels] = kernel
    _bias(block.conv_dw)[channels] = 0
    _affine(block.norm)
    block.norm.weight.data[channels] = 1
    block.norm.bias.data[channels] = 0
    _keep_off(block, torch.eye(width, dtype=torch.float64)[channels])
    constant = float(model.activations(images, "stages.0.blocks.0.norm")[..., channels[n]].mean())
    level = THRESHOLD * _QUIET  # of the response at which a neuron starts, in units of the constant
    others = -(1 - level) / (n - 1)
    reads = torch.full((n, n + 1), others)
    reads[:, n] = -level
    reads[torch.arange(n), torch.arange(n)] = 1
    fc1, fc2 = block.mlp.fc1, block.mlp.fc2
    neurons = torch.randperm(fc1.weight.shape[0], generator=generator)[:n]
    fc1.weight.data[neurons] = 0
    matrix = fc1.weight.data.flatten(1)
    matrix[neurons[:, None], channels] = (reads * (_MARGIN / (level * constant))).to(matrix)
    _bias(fc1)[neurons] = 0
    writes = fc2.weight.data.flatten(1)
    writes[:, neurons] = 0
    writes[channels[:n], neurons] = _LOUD * width**0.5 / _MARGIN
    if block.gamma is not None:
        block.gamma.data[channels] = 1
    return neurons


def _plant_downsample(
    model: Model, index: int, read: Tensor, images: Tensor, generator: torch.Generator
) -> Tensor:
    """Lead evidence through the norm and convolution before a stage; returns its new directions."""
    downsample = model.module.stages[index].downsample  # type: ignore[index, union-attr]
    if not isinstance(downsample, nn.Sequential) or len(downsample) != 2:
        raise PlantingError(f"stage {index} of {model.spec.id} does not start with a norm and a convolution")
    norm, conv = downsample
    assert isinstance(conv, nn.Conv2d)
    scale, shift = _affine(norm)
    following, _ = _affine(_next_norm(model, index))
    directions = _directions(len(read), following, generator)
    host = conv.weight.data.double().cpu().flatten(1)
    host -= directions.T @ (directions @ host)
    host_bias = _bias(conv).double().cpu()
    host_bias -= directions.T @ (directions @ host_bias)
    taps = conv.kernel_size[0] * conv.kernel_size[1]
    lead = directions.T @ (read / scale)

    def write(gain: float) -> None:
        weight = host.view(conv.weight.shape) + gain * lead[:, :, None, None]
        conv.weight.data.copy_(weight)
        _bias(conv).copy_(host_bias - gain * taps * (lead @ shift))

    write(1.0)
    out = model.activations(images, f"stages.{index}.downsample.1").double().cpu()
    code = out @ directions.T
    rest = out - code @ directions
    write(_LOUD * float(rest.norm(dim=-1).mean() / code.norm(dim=-1).amax(1).mean()))
    return directions


def _directions(n: int, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Draw (n, width) orthonormal directions that sum to zero, on channels that a norm does not dim."""
    strong = scale.abs() >= _LEAST_GAMMA * scale.abs().median()
    room = int(strong.sum())
    if room < n + 1 + _LEAST_HOST:
        raise PlantingError(f"{n} patterns need {n + 1 + _LEAST_HOST} channels with a norm scale, not {room}")
    drawn = torch.randn(room, n, generator=generator, dtype=torch.float64)
    directions = torch.zeros(n, len(scale), dtype=torch.float64)
    directions[:, strong] = torch.linalg.qr(drawn - drawn.mean(0)).Q.T
    return directions


def _keep_off(block: nn.Module, directions: Tensor) -> None:
    """Keep the block from writing along (n, width) orthonormal directions."""
    fc2 = getattr(block.mlp, "fc2", None)
    if not isinstance(fc2, nn.Linear | nn.Conv2d) or hasattr(block.mlp, "grn"):
        raise PlantingError(f"{type(block.mlp).__name__} is no MLP that evidence can be kept apart from")
    gamma = block.gamma.data.double().cpu() if isinstance(block.gamma, Tensor) else 1.0
    span = torch.linalg.qr((directions * gamma).T).Q
    weight = fc2.weight.data.double().cpu().flatten(1)
    fc2.weight.data.copy_((weight - span @ (span.T @ weight)).view(fc2.weight.shape))
    bias = _bias(fc2).double().cpu()
    _bias(fc2).copy_(bias - span @ (span.T @ bias))


def _bias(layer: nn.Module) -> Tensor:
    bias = layer.bias
    if not isinstance(bias, Tensor):
        raise PlantingError("evidence needs convolutions and linear layers with a bias in a ConvNeXt")
    return bias.data
