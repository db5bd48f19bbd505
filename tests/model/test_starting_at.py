"""A network that starts behind some blocks goes on as if it had run them."""

from __future__ import annotations

import pytest
import torch

from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry

MODELS = ("native-30k", "gpt2-random-6m", "llama-random-6m", "neox-random-5m", "vit-slim-50k")


@pytest.mark.parametrize("name", MODELS)
def test_it_goes_on_from_any_block(name: str) -> None:
    model = open_model(load_registry().get(name))
    generator = torch.Generator().manual_seed(0)
    if model.modality == "lm":
        inputs = torch.randint(50, (3, 12), generator=generator)
    else:
        inputs = torch.randn(3, 3, model.image_size, model.image_size, generator=generator)
    depth = len(model.transformer.blocks)
    whole = model.logits(inputs)
    for layer in range(depth + 1):
        last = f"blocks.{layer - 1}.hook_resid_post"
        residual = model.activations(inputs, f"blocks.{layer}.hook_resid_pre" if layer < depth else last)
        with model.starting_at(layer, residual):
            assert torch.equal(model.logits(torch.zeros_like(inputs)), whole)
    assert torch.equal(model.logits(inputs), whole)
