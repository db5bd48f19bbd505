"""Open a row as a plain frozen torch module; the opener of each source kind is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from interp_bench.registry.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

LIBRARIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "native": ("transformer_lens.model_bridge.sources.native",),
        "timm": ("timm",),
        "transformers": ("transformers.modeling_utils",),
        "gguf": ("transformers.modeling_utils",),
    }
)
"""What opening a row of each kind imports for seconds, so that another process can do so meanwhile."""


def open_module(spec: ModelSpec, device: str = "cpu", dtype: torch.dtype | None = None) -> nn.Module:
    """Build the network of ``spec`` with its weights.

    The global random state is left as it was; equal rows give equal weights.

    Args:
        spec: the row.
        device: torch device.
        dtype: number format of the weights; ``None`` means float32.

    Returns:
        The plain module in evaluation mode, no parameter requiring a gradient.

    Raises:
        UnavailableError: if the weights are not on this machine; nothing is downloaded.
        RegistryError: if the row names an architecture that does not exist.
    """
    import torch

    dtype = torch.float32 if dtype is None else dtype
    source = spec.source
    if source.kind == "native":
        from interp_bench.registry.native import open_native

        module: nn.Module = open_native(source).to(dtype=dtype)
    elif source.kind == "timm":
        from interp_bench.registry.timm_source import open_timm

        module = open_timm(spec.id, source).to(dtype=dtype)
    elif source.kind == "gguf":
        from interp_bench.registry.gguf import open_gguf

        module = open_gguf(spec.id, source, dtype)
    else:
        from interp_bench.registry.transformers_source import open_transformers

        module = open_transformers(spec.id, source, device, dtype)
    # transformers took the dtype already: a cast here would also round its rotary frequencies.
    return module.to(device=device).eval().requires_grad_(False)
