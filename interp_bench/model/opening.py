"""From a row of models.yaml to a live handle."""

from __future__ import annotations

import torch

from interp_bench.model.handle import Model
from interp_bench.registry import open_module
from interp_bench.registry.spec import ModelSpec


def open_model(
    spec: ModelSpec, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Model:
    """Open the network of a row behind the one handle.

    Args:
        spec: the row.
        device: where the weights go.
        dtype: dtype of the weights.

    Returns:
        The model in eval mode, no parameter requiring a gradient.

    Raises:
        UnavailableError: the weights are not on this machine.
    """
    return Model(spec, open_module(spec, device=str(device), dtype=dtype))
