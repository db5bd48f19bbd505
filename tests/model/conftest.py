"""Small hosts of every architecture kind, built in memory."""

from __future__ import annotations

import pytest
import timm
import torch
import transformers
from torch import nn

from interp_bench.model.handle import Model
from interp_bench.registry import load_registry, open_module

SIZES = {"vocab_size": 64, "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False}


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=32, **SIZES)
    return transformers.GPT2LMHeadModel(config)


def gpt2_narrow() -> nn.Module:
    config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=4, n_positions=32, **SIZES)
    return transformers.GPT2LMHeadModel(config)


def llama() -> nn.Module:
    config = transformers.LlamaConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, **SIZES,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def neox() -> nn.Module:
    config = transformers.GPTNeoXConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, **SIZES
    )
    return transformers.GPTNeoXForCausalLM(config)


def vit() -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=4, num_classes=8
    )


BUILDERS = {"gpt2": gpt2, "gpt2-narrow": gpt2_narrow, "llama": llama, "neox": neox, "vit": vit}


def build(kind: str) -> Model:
    """Build a host of this kind with weights large enough that every part matters."""
    registry = load_registry()
    if kind == "native":
        return Model(registry.get("native-30k"), open_module(registry.get("native-30k")))
    spec = registry.get("vit-slim-200k" if kind == "vit" else "native-30k")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = BUILDERS[kind]()
        for name, weight in module.named_parameters():
            if weight.ndim >= 2 and "norm" not in name:
                weight.data.normal_(0, 0.15)
    for attention in module.modules():
        if hasattr(attention, "fused_attn"):
            attention.fused_attn = False
    return Model(spec, module.eval().requires_grad_(False))


@pytest.fixture(params=["native", "gpt2", "llama", "neox", "vit"])
def transformer(request: pytest.FixtureRequest) -> Model:
    return build(request.param)


def sample(model: Model, seed: int, batch: int = 3) -> torch.Tensor:
    """Return random tokens or pixels."""
    generator = torch.Generator().manual_seed(seed)
    if "Vision" in type(model.module).__name__:
        return (
            torch.randn(batch, 3, 32, 32, generator=generator)
            if model.d_model == 32
            else torch.randn(batch, 3, model.image_size, model.image_size, generator=generator)
        )
    return torch.randint(0, 60, (batch, 9), generator=generator)
