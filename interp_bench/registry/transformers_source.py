"""Language models of transformers: random from a config, from the hub's cache, or from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from interp_bench.errors import UnavailableError
from interp_bench.registry.availability import transformers_reason
from interp_bench.registry.random_lm import fill_random
from interp_bench.registry.sources import TransformersSource


def open_transformers(
    model_id: str, source: TransformersSource, device: str, dtype: torch.dtype
) -> PreTrainedModel:
    """Open a causal language model with eager attention and a head of its own.

    Raises:
        UnavailableError: if the weights are not here, or are no safetensors.
    """
    if source.seed is not None:
        return open_random(source.config, source.seed, device, dtype)
    reason = transformers_reason(model_id, source)
    if reason is not None:
        raise UnavailableError(reason)
    if source.directory is not None:
        return open_folder(Path(source.directory).expanduser(), dtype)
    return open_pretrained(str(source.repo), dtype, revision=source.revision)


def open_folder(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Open a folder with config.json and safetensors, without a network."""
    return open_pretrained(str(folder), dtype)


def open_pretrained(name: str, dtype: torch.dtype, revision: str | None = None) -> PreTrainedModel:
    """Open saved weights from a folder or from the hub's cache; safetensors only, never a pickle.

    Raises:
        UnavailableError: if they cannot be read.
    """
    where = {"revision": revision} if revision else {}
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                name,
                dtype=dtype,
                attn_implementation="eager",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **where,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UnavailableError(f"cannot open the weights in {name}: {first_line(error)}") from None
    if info["missing_keys"]:
        absent = sorted(info["missing_keys"])[0]
        raise UnavailableError(f"the weights in {name} are incomplete: {absent} is missing")
    return untie(model)


def open_random(config: dict[str, Any], seed: int, device: str, dtype: torch.dtype) -> PreTrainedModel:
    """Build a random network without a second copy: on the meta device, then filled in place."""
    model = meta_model(config, dtype)
    untie(model)
    model.to_empty(device=device)
    rebuild_buffers(model, device)
    fill_random(model, seed)
    return model


def meta_model(config: dict[str, Any], dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Return the network on the meta device: shapes only, tied where the config ties."""
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            make_config(config), dtype=dtype, attn_implementation="eager"
        )
    return model


def make_config(config: dict[str, Any]) -> PretrainedConfig:
    """Return the transformers config of a row, with no token ids outside its vocabulary."""
    keys = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None, **config}
    rope = {key: keys.pop(key) for key in ("rope_theta", "rotary_pct", "rotary_emb_base") if key in keys}
    if rope:
        keys["rope_parameters"] = {
            "rope_type": "default",
            "rope_theta": float(rope.get("rope_theta", rope.get("rotary_emb_base", 10000.0))),
        }
        if "rotary_pct" in rope:
            keys["rope_parameters"]["partial_rotary_factor"] = rope["rotary_pct"]
    made: PretrainedConfig = AutoConfig.for_model(keys.pop("model_type"), **keys)
    return made


def untie(model: PreTrainedModel) -> PreTrainedModel:
    """Give the head a matrix of its own, since planting edits embedding and head apart."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight is embedding.weight or head.weight.data_ptr() == embedding.weight.data_ptr() != 0:
        head.weight = nn.Parameter(embedding.weight.detach().clone())
    model.config.tie_word_embeddings = False
    return model


def rebuild_buffers(model: PreTrainedModel, device: str) -> None:
    """Recompute the buffers that ``to_empty`` left as garbage: rotary tables and causal masks."""
    for module in model.modules():
        if type(module).__name__.endswith("RotaryEmbedding"):
            for name, value in type(module)(model.config).named_buffers(recurse=False):
                setattr(module, name, value.to(device))
        mask = getattr(module, "bias", None)
        if isinstance(mask, torch.Tensor) and mask.dtype is torch.bool:
            mask.copy_(torch.ones_like(mask).tril())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars, and restore what was set before."""
    drawing = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawing:
            logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, for messages of one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
