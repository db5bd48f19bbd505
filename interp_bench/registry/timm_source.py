"""Image models of timm: random, pretrained or from a file, made plain for reading and planting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import nn

from interp_bench.errors import RegistryError, UnavailableError, near_name
from interp_bench.registry.availability import cached_file, timm_reason
from interp_bench.registry.random_image import fill_random, fold_layer_scale
from interp_bench.registry.sources import TimmSource


def open_timm(model_id: str, source: TimmSource) -> nn.Module:
    """Open an image model on the CPU in float32.

    Activations are no longer overwritten in place, attention is not fused (so that its pattern can be
    read), and layer scale is folded into the projection before it; the function stays the same.

    Raises:
        UnavailableError: if the weights are not here.
        RegistryError: if timm does not know the architecture or an argument.
    """
    reason = timm_reason(model_id, source)
    if reason is not None:
        raise UnavailableError(reason)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        model = _create(source, weights=_weights(source))
    if not source.pretrained and source.file is None:
        fill_random(model, source.seed)
    fold_layer_scale(model)
    make_plain(model)
    return model


def meta_timm(source: TimmSource) -> nn.Module:
    """Return the network on the meta device: shapes only."""
    with torch.device("meta"):
        return _create(source, weights=None)


def make_plain(model: nn.Module) -> None:
    """Turn off what hides activations: in-place functions and fused attention."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 - the stub of Module allows tensors only
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - as above


def _weights(source: TimmSource) -> Path | None:
    if source.file is not None:
        return Path(source.file).expanduser()
    if source.pretrained:
        return cached_file(f"timm/{source.architecture}", source.revision, "model.safetensors")
    return None


def _create(source: TimmSource, weights: Path | None) -> nn.Module:
    name = source.architecture
    if not timm.is_model(name):
        base = name.split(".")[0]
        raise RegistryError(f"timm has no architecture {name!r}{near_name(base, timm.list_models())}")
    arguments: dict[str, Any] = {**source.args, "num_classes": source.num_classes}
    config = timm.get_pretrained_cfg(name)
    if source.pretrained and config is not None and source.num_classes not in (0, config.num_classes):
        raise RegistryError(
            f"the weights of {name!r} have {config.num_classes} classes, not {source.num_classes}"
        )
    if config is not None and config.fixed_input_size:
        arguments.setdefault("img_size", source.image_size)
    if weights is not None:
        # timm swaps the head for a random one where its own record names another number of classes.
        classes = {"num_classes": source.num_classes} if source.file is not None else {}
        arguments["pretrained_cfg_overlay"] = {"file": str(weights), **classes}
    try:
        model: nn.Module = timm.create_model(name, pretrained=weights is not None, **arguments)
    except (TypeError, AssertionError, RuntimeError, ValueError, SafetensorError) as error:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        raise RegistryError(f"timm cannot build {name!r} from this row: {text}") from None
    return model
