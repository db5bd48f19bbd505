"""Opened modules: plain, frozen, the same from the same row, well scaled, and honest to their source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from interp_bench.errors import RegistryError
from interp_bench.registry import ModelSpec, load_registry, open_module
from interp_bench.registry.native import open_bridge
from interp_bench.registry.random_image import fold_layer_scale
from interp_bench.registry.sources import NativeSource, TimmSource
from interp_bench.registry.timm_source import meta_timm, open_timm

REGISTRY = load_registry()
SMALL = [
    "native-30k",
    "native-rope-200k",
    "llama-random-6m",
    "neox-random-5m",
    "gpt2-random-6m",
    "convnext-slim-20k",
    "resnet18",
    "vit-slim-50k",
]
BLOCKS = {
    "NativeBlock", "LlamaDecoderLayer", "GPTNeoXLayer", "GPT2Block",
    "Block", "ConvNeXtBlock", "BasicBlock", "Bottleneck",
}  # fmt: skip


def inputs(spec: ModelSpec, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if spec.modality == "lm":
        return torch.randint(0, 100, (batch, 16), generator=generator)
    assert spec.source.kind == "timm"
    size = spec.source.image_size
    return torch.randn(batch, 3, size, size, generator=generator)


def logits(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        out = module(x)
    return out if isinstance(out, torch.Tensor) else out.logits


@pytest.fixture
def untouched_random_state() -> Callable[[], bool]:
    before = torch.random.get_rng_state()
    return lambda: torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("model_id", SMALL)
def test_a_module_is_plain_frozen_and_the_same_every_time(
    model_id: str, untouched_random_state: Callable[[], bool]
) -> None:
    spec = REGISTRY.get(model_id)
    first, second = open_module(spec), open_module(spec)
    assert untouched_random_state()
    assert torch.get_default_dtype() is torch.float32
    assert not any(m.training for m in first.modules())
    assert not any(p.requires_grad for p in first.parameters())
    assert not any(p.is_meta for p in [*first.parameters(), *first.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    x = inputs(spec)
    assert torch.isfinite(logits(first, x)).all()
    assert torch.equal(logits(first, x), logits(second, x))


@pytest.mark.parametrize("model_id", ["native-30k", "llama-random-6m", "convnext-slim-20k"])
def test_another_seed_gives_other_weights(model_id: str) -> None:
    spec = REGISTRY.get(model_id)
    other = spec.model_copy(update={"source": spec.source.model_copy(update={"seed": 2})})
    x = inputs(spec)
    assert not torch.allclose(logits(open_module(spec), x), logits(open_module(other), x))


@pytest.mark.parametrize("model_id", ["native-30k", "llama-random-6m", "convnext-slim-20k"])
def test_bfloat16_holds_the_same_weights_rounded(model_id: str) -> None:
    spec = REGISTRY.get(model_id)
    wide, narrow = open_module(spec), open_module(spec, dtype=torch.bfloat16)
    for a, b in zip(wide.parameters(), narrow.parameters(), strict=True):
        assert b.dtype is torch.bfloat16
        assert torch.allclose(a, b.float(), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "model_id",
    [
        *SMALL,
        "native-5m",
        "resnet50-random",
        "resnet152-random",
        "vit-tiny",
        "convnext-atto",
        "neox-random-20m",
    ],
)
def test_the_stream_of_a_random_host_neither_vanishes_nor_explodes(model_id: str) -> None:
    spec = REGISTRY.get(model_id)
    module = open_module(spec)
    sizes: list[float] = []

    def note(_: nn.Module, __: object, out: object) -> None:
        value = out[0] if isinstance(out, tuple) else out
        assert isinstance(value, torch.Tensor)
        sizes.append(value.pow(2).mean().sqrt().item())

    for part in module.modules():
        if type(part).__name__ in BLOCKS:
            part.register_forward_hook(note)
    logits(module, inputs(spec))
    assert len(sizes) >= 3
    assert 1e-2 < sizes[-1] < 1e2
    assert 0.1 < sizes[-1] / sizes[0] < 10


@pytest.mark.parametrize("model_id", ["native-150k", "native-rope-200k"])
def test_the_bare_native_model_agrees_with_its_bridge(model_id: str) -> None:
    spec = REGISTRY.get(model_id)
    assert isinstance(spec.source, NativeSource)
    bare = open_module(spec)
    assert type(bare).__name__ == "NativeModel"
    assert not any("_original_component" in key for key in bare.state_dict())
    x = inputs(spec)
    with torch.no_grad():
        bridged = open_bridge(spec.source)(x)
    assert torch.allclose(logits(bare, x), bridged, atol=1e-5)


def test_random_transformers_use_eager_attention_and_a_head_of_their_own() -> None:
    module: Any = open_module(REGISTRY.get("gpt2-random-6m"))
    assert module.config._attn_implementation == "eager"
    assert module.config.tie_word_embeddings is False
    assert module.lm_head.weight.data_ptr() != module.transformer.wte.weight.data_ptr()


def test_rotary_tables_are_rebuilt_after_the_meta_device() -> None:
    module: Any = open_module(REGISTRY.get("llama-random-6m"), dtype=torch.bfloat16)
    frequencies = module.model.rotary_emb.inv_freq
    assert frequencies.dtype is torch.float32
    expected = 10000.0 ** -(torch.arange(0, 32, 2) / 32)
    assert torch.allclose(frequencies, expected)


@pytest.mark.parametrize("model_id", ["resnet18", "vit-slim-50k", "convnext-slim-20k"])
def test_image_models_hide_no_activation(model_id: str) -> None:
    for part in open_module(REGISTRY.get(model_id)).modules():
        assert not getattr(part, "inplace", False)
        assert not getattr(part, "fused_attn", False)


@pytest.mark.parametrize(
    ("architecture", "args"),
    [
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16], "ls_init_value": 0.5}),
        ("vit_tiny_patch16_224", {"embed_dim": 32, "depth": 2, "num_heads": 2, "init_values": 0.5}),
        ("eva02_tiny_patch14_224", {"embed_dim": 32, "depth": 2, "num_heads": 2, "init_values": 0.5}),
    ],
)
def test_folding_layer_scale_keeps_the_function(architecture: str, args: dict[str, object]) -> None:
    size = 70 if "14" in architecture else 64
    source = TimmSource(
        kind="timm", architecture=architecture, args=args, image_size=size, num_classes=4, seed=3
    )
    module = open_timm("test", source)
    gammas = [p for name, p in module.named_parameters() if "gamma" in name]
    assert len(gammas) == 4
    generator = torch.Generator().manual_seed(5)
    for gamma in gammas:
        gamma.data.copy_(torch.rand(gamma.shape, generator=generator) + 0.1)
    x = torch.randn(2, 3, size, size, generator=generator)
    before = logits(module, x)
    fold_layer_scale(module)
    assert all((gamma == 1).all() for gamma in gammas)
    assert torch.allclose(before, logits(module, x), atol=1e-5)


def test_an_unknown_architecture_gets_a_near_name() -> None:
    source = TimmSource(kind="timm", architecture="resnet81", image_size=64, num_classes=4)
    with pytest.raises(RegistryError, match=r"^timm has no architecture 'resnet81' \(did you mean '.*'\?\)$"):
        open_timm("test", source)


def test_an_argument_that_timm_refuses_is_one_line() -> None:
    source = TimmSource(
        kind="timm", architecture="resnet18", args={"colour": "red"}, image_size=64, num_classes=4
    )
    with pytest.raises(RegistryError, match=r"^timm cannot build 'resnet18' from this row: .*colour.*$"):
        open_timm("test", source)


def test_published_weights_keep_their_own_classes() -> None:
    source = TimmSource(
        kind="timm", architecture="resnet18.a1_in1k", pretrained=True, image_size=64, num_classes=16
    )
    with pytest.raises(RegistryError, match=r"^the weights of 'resnet18.a1_in1k' have 1000 classes, not 16$"):
        meta_timm(source)
