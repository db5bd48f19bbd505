from __future__ import annotations

import pytest
import timm
import torch

from interp_bench.errors import SiteError
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry

from .conftest import build, sample

POINTS = ("hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "hook_attn_out")
ALL_POINTS = (*POINTS, "mlp.hook_post", "hook_mlp_out", "hook_resid_post")


@pytest.fixture(params=["convnext-slim-20k", "resnet18"])
def cnn(request: pytest.FixtureRequest) -> Model:
    return open_model(load_registry().get(request.param))


def pixels(model: Model, seed: int, batch: int = 2) -> torch.Tensor:
    size = model.image_size
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def hooks_left(model: Model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules())


def test_every_point_is_recorded_by_batch_and_position(transformer: Model) -> None:
    inputs = sample(transformer, 0)
    names = [f"blocks.1.{point}" for point in ALL_POINTS]
    with torch.no_grad(), transformer.record(*names) as cache:
        transformer(inputs)
    anatomy = transformer.transformer
    heads, kv = anatomy.n_heads * anatomy.d_head, anatomy.n_kv_heads * anatomy.d_head
    widths = dict(zip(ALL_POINTS, [32, heads, kv, kv, heads, 32, anatomy.d_mlp, 32, 32], strict=True))
    for point, width in widths.items():
        assert cache[f"blocks.1.{point}"].shape[0] == len(inputs)
        assert cache[f"blocks.1.{point}"].shape[2] == width, point


def test_the_residual_stream_adds_up(transformer: Model) -> None:
    inputs = sample(transformer, 0)
    names = [f"blocks.1.{p}" for p in ("hook_resid_pre", "hook_attn_out", "hook_mlp_out", "hook_resid_post")]
    with torch.no_grad(), transformer.record(*names) as cache:
        transformer(inputs)
    before, attention, mlp, after = (cache[name] for name in names)
    torch.testing.assert_close(before + attention + mlp, after, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("point", ALL_POINTS)
def test_patching_a_point_with_another_run_changes_the_logits(transformer: Model, point: str) -> None:
    name = f"blocks.1.{point}"
    base, other = sample(transformer, 0), sample(transformer, 1)
    with torch.no_grad():
        plain = transformer(base)
        donor = transformer.activations(other, name)
        own = transformer.activations(base, name)
        with transformer.patch({name: donor}):
            assert not torch.allclose(transformer(base), plain, atol=1e-3)
        with transformer.patch({name: own}):
            torch.testing.assert_close(transformer(base), plain)
        torch.testing.assert_close(transformer(base), plain)
    assert hooks_left(transformer) == 0


def test_patching_the_last_site_by_a_run_gives_that_run(transformer: Model) -> None:
    base, other = sample(transformer, 0), sample(transformer, 1)
    site = transformer.sites[-1]
    with torch.no_grad(), transformer.patch({site: transformer.activations(other, site)}):
        patched = transformer(base)
    torch.testing.assert_close(patched, transformer.logits(other))


def test_a_gradient_reaches_every_point(transformer: Model) -> None:
    inputs = sample(transformer, 0)
    names = [f"blocks.1.{point}" for point in ALL_POINTS]
    with torch.enable_grad(), transformer.record("blocks.0.hook_resid_pre", leaf=True) as start:
        with transformer.record(*names) as cache:
            total = transformer(inputs).pow(2).sum()
        gradients = torch.autograd.grad(total, [start["blocks.0.hook_resid_pre"], *cache.values()])
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients)
    assert transformer.meter.backwards == 1


def test_hooks_are_gone_after_an_exception(transformer: Model) -> None:
    with pytest.raises(RuntimeError, match="stop"), transformer.record("blocks.0.hook_resid_post"):
        raise RuntimeError("stop")
    assert hooks_left(transformer) == 0


def test_embeddings_in_place_of_tokens() -> None:
    model = build("native")
    tokens = sample(model, 0)
    torch.testing.assert_close(model.from_embeddings(model.embed(tokens)), model.logits(tokens))


def test_a_wrong_site_names_a_near_one(transformer: Model) -> None:
    with pytest.raises(SiteError, match=r"blocks\.1\.hook_resid_post"):
        transformer.site("blocks.1.hook_resid_pots")
    with pytest.raises(SiteError, match="no site"):
        transformer.site("blocks.99.hook_resid_post")


def test_parallel_blocks_have_no_mid() -> None:
    with pytest.raises(SiteError, match="parallel"):
        build("neox").site("blocks.0.hook_resid_mid")
    assert build("gpt2").site("blocks.0.hook_resid_mid").side == "in"


def test_cnn_maps_are_read_by_position_and_written_back(cnn: Model) -> None:
    inputs = pixels(cnn, 0)
    for name in cnn.sites:
        values = cnn.activations(inputs, name)
        assert values.ndim == 3
        assert values.shape[2] == cnn.width(name)
        with torch.no_grad(), cnn.patch({name: values}):
            torch.testing.assert_close(cnn(inputs), cnn.logits(inputs))
        with torch.no_grad(), cnn.patch({name: cnn.activations(pixels(cnn, 1), name)}):
            torch.testing.assert_close(cnn(inputs), cnn.logits(pixels(cnn, 1)))


@pytest.mark.parametrize("conv_mlp", [True, False])
def test_hidden_maps_of_convnext_are_by_position_in_either_layout(conv_mlp: bool) -> None:
    spec = load_registry().get("convnext-slim-20k")
    module = timm.create_model(
        "convnext_tiny", dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), conv_mlp=conv_mlp, num_classes=4
    )
    model = Model(spec, module.eval().requires_grad_(False))
    inputs = pixels(model, 0)
    seen: list[torch.Tensor] = []
    fc1 = module.stages[1].blocks[0].mlp.fc1
    handle = fc1.register_forward_hook(lambda m, a, out: seen.append(out))
    hidden = model.activations(inputs, "stages.1.blocks.0.mlp.fc1")
    handle.remove()
    by_channel = seen[0] if conv_mlp else seen[0].permute(0, 3, 1, 2)
    torch.testing.assert_close(hidden, by_channel.flatten(2).transpose(1, 2))


def test_recording_survives_in_place_changes() -> None:
    """A ResNet adds its shortcut in place into what bn2 returned."""
    model = open_model(load_registry().get("resnet18"))
    inputs = pixels(model, 0)
    names = ["layer1.0.bn2", "layer1.0", "maxpool"]
    with torch.no_grad(), model.record(*names) as cache:
        model(inputs)
    total = torch.relu(cache["layer1.0.bn2"] + cache["maxpool"])
    torch.testing.assert_close(total, cache["layer1.0"])


def test_the_meter_counts_calls() -> None:
    model = build("native")
    model.logits(sample(model, 0))
    model.width(model.sites[0])
    assert (model.meter.forwards, model.meter.backwards) == (1, 0)


def test_a_cnn_has_no_heads_and_a_transformer_no_channels() -> None:
    with pytest.raises(SiteError, match="no attention heads"):
        _ = open_model(load_registry().get("resnet18")).transformer
    with pytest.raises(SiteError, match="no ResNet or ConvNeXt"):
        _ = build("native").cnn
