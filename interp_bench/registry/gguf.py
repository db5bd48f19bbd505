"""Quantised GGUF weights: converted once to safetensors, opened from the cache."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from interp_bench.errors import UnavailableError
from interp_bench.registry.cache import model_folder
from interp_bench.registry.sources import GgufSource
from interp_bench.registry.transformers_source import open_folder, quiet


def open_gguf(model_id: str, source: GgufSource, dtype: torch.dtype) -> PreTrainedModel:
    """Open the converted copy in the cache.

    Raises:
        UnavailableError: if it was not fetched.
    """
    folder = model_folder(model_id, source.sha256[:16])
    if not (folder / "model.safetensors").is_file():
        raise UnavailableError(f"its weights are not on this machine; run: interp-bench fetch {model_id}")
    return open_folder(folder, dtype)


def convert(gguf_file: Path, folder: Path) -> None:
    """Write the dequantised weights, config and tokenizer of ``gguf_file`` into ``folder``."""
    where = str(gguf_file.parent)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=gguf_file.name, dtype=torch.float32)
        # transformers refuses to save a model that came from a quantiser, although it is dequantised now.
        model.hf_quantizer = None
        model._is_hf_quantized = False
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(where, gguf_file=gguf_file.name).save_pretrained(folder)
