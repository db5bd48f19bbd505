"""The anatomy of a convolutional network: its residual blocks in order of depth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvAnatomy:
    """Where everything is in one residual CNN (timm ``ResNet`` or ``ConvNeXt``).

    Attributes:
        family: ``resnet`` or ``convnext``.
        stem: modules that turn pixels into the input of the first layer, in order of application.
        layers: all that follows the stem, by module path, in order of depth: the residual blocks and,
            in a ConvNeXt, the downsampling between stages. Each maps the output of the one before.
        blocks: the residual blocks among the layers.
        head: the final linear layer.
        channels_last: regular expression for module paths whose tensors are (batch, h, w, channel).
    """

    family: str
    stem: tuple[nn.Module, ...]
    layers: dict[str, nn.Module]
    blocks: dict[str, nn.Module]
    head: nn.Linear
    channels_last: re.Pattern[str] | None


def find_cnn(module: nn.Module) -> ConvAnatomy | None:
    """Return the anatomy of a timm ResNet or ConvNeXt, or None for any other network."""
    reader = {"ResNet": _resnet, "ConvNeXt": _convnext}.get(type(module).__name__)
    return None if reader is None else reader(module)


def _resnet(module: Any) -> ConvAnatomy:
    layers = [n for n in ("layer1", "layer2", "layer3", "layer4") if hasattr(module, n)]
    blocks = {f"{n}.{i}": b for n in layers for i, b in enumerate(getattr(module, n))}
    stem = (module.conv1, module.bn1, module.act1, module.maxpool)
    return ConvAnatomy(
        family="resnet", stem=stem, layers=blocks, blocks=blocks, head=module.fc, channels_last=None
    )


def _convnext(module: Any) -> ConvAnatomy:
    blocks = {
        f"stages.{s}.blocks.{i}": b
        for s, stage in enumerate(module.stages)
        for i, b in enumerate(stage.blocks)
    }
    layers: dict[str, nn.Module] = {}
    for s, stage in enumerate(module.stages):
        if not isinstance(stage.downsample, nn.Identity):
            layers[f"stages.{s}.downsample"] = stage.downsample
        layers |= {f"stages.{s}.blocks.{i}": b for i, b in enumerate(stage.blocks)}
    mlp_last = not next(iter(blocks.values())).use_conv_mlp
    pattern = re.compile(r"stages\.\d+\.blocks\.\d+\.(norm|mlp)(\.|$)") if mlp_last else None
    return ConvAnatomy(
        family="convnext",
        stem=(module.stem,),
        layers=layers,
        blocks=blocks,
        head=module.head.fc,
        channels_last=pattern,
    )
