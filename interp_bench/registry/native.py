"""Native models: TransformerLens ``boot_native``, handed out without the bridge's wrappers."""

from __future__ import annotations

import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import NativeModel
from transformer_lens.model_bridge.sources.native import boot as boot_native

from interp_bench.registry.sources import NativeSource

_WRAPPER = "._original_component"


def open_bridge(source: NativeSource) -> TransformerBridge:
    """Boot the model of ``source`` inside TransformerLens's bridge, on the CPU in float32."""
    return boot_native(_config(source), device="cpu", dtype=torch.float32)


def open_native(source: NativeSource) -> NativeModel:
    """Return the bare network with the weights that ``boot_native`` gives it.

    The bridge's hook points double the cost of a tiny model, so they are left off.
    """
    wrapped = open_bridge(source).original_model.state_dict()
    with torch.random.fork_rng(devices=[]):  # its layers draw first weights that are thrown away
        module = NativeModel(_config(source))
    # The bridge registers each wrapped part under several names, all for the same tensor, and a zero
    # bias on the head: only the network's own names count, and each of them must be there.
    plain = {key.replace(_WRAPPER, ""): value for key, value in wrapped.items()}
    own = module.state_dict().keys()
    module.load_state_dict({key: value for key, value in plain.items() if key in own}, strict=True)
    return module


def meta_native(source: NativeSource) -> NativeModel:
    """Return the network on the meta device: shapes only."""
    with torch.device("meta"):
        return NativeModel(_config(source))


def _config(source: NativeSource) -> TransformerBridgeConfig:
    return TransformerBridgeConfig(**source.config, seed=source.seed, device="cpu")
