"""The reserved subspace, implanted heads and neurons, on hosts of every kind."""

from __future__ import annotations

import pytest
import torch

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.model.transformer import norm_scale
from interp_bench.planting.anchor import Anchor
from interp_bench.planting.codes import orthonormal, spread_codes
from interp_bench.planting.heads import Head, Match, implant_head
from interp_bench.planting.neurons import Neuron, implant_neurons
from interp_bench.planting.positions import offset_weights, position_codes
from interp_bench.planting.stream import Read, Stream
from interp_bench.registry import load_registry
from tests.model.conftest import build, sample

KINDS = ("native", "gpt2", "llama", "neox")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reserve(model: Model) -> Stream:
    stream = Stream(model, {"x": 3, "y": 3, "one": 1}, sample(model, 5, batch=8), generator())
    if not model.transformer.n_prefix:
        stream.embed_everywhere("one")
    return stream


def coordinates(stream: Stream, site: str, slot: str, inputs: torch.Tensor) -> torch.Tensor:
    return stream.model.activations(inputs, site).double() @ stream.slots[slot] / stream.amplitude


@pytest.mark.parametrize("kind", [*KINDS, "vit"])
def test_no_host_part_writes_into_the_reserved_subspace(kind: str) -> None:
    model = build(kind)
    stream = Stream(model, {"x": 3, "y": 4}, sample(model, 5), generator())
    for site in ("blocks.0.hook_resid_pre", *model.sites):
        residual = model.activations(sample(model, 1), site).double()
        assert float((residual @ stream.frame).abs().max()) < 1e-4 * float(residual.norm(dim=-1).max())


@pytest.mark.parametrize("kind", [*KINDS, "vit"])
def test_a_write_leak_leaves_its_share_of_what_the_host_writes(kind: str) -> None:
    """Attention output of block 0 in the subspace, over the same of an unsilenced host with equal inputs."""
    written = []
    for leak in (0.25, 1.0):
        model = build(kind)
        stream = Stream(model, {"x": 3, "y": 4}, sample(model, 5), generator(), write_leak=leak)
        weight = model.transformer.blocks[0].out.read()
        written.append(weight @ stream.frame)
    torch.testing.assert_close(written[0], 0.25 * written[1], rtol=1e-3, atol=1e-6)
    assert float(written[1].abs().max()) > 1e-3


@pytest.mark.parametrize("kind", [*KINDS, "vit"])
@pytest.mark.parametrize("leak", [0.0, 0.5])
def test_a_read_leak_scales_what_the_host_reads_of_the_subspace(kind: str, leak: float) -> None:
    model, plain = build(kind), build(kind)
    inputs = sample(model, 5)
    stream = Stream(model, {"x": 3}, inputs, generator(), read_leak=leak)
    reference = Stream(plain, {"x": 3}, inputs, generator())
    for which in (1, 2):
        gamma = norm_scale(model.transformer.norm(0, which), model.d_model)[:, None]
        for reader, own in zip(stream.readers(0, which), reference.readers(0, which), strict=True):
            read = stream.frame.T @ (gamma * reader.read())
            whole = reference.frame.T @ (gamma * own.read())
            torch.testing.assert_close(read, leak * whole, rtol=1e-3, atol=1e-5)
            assert float(whole.abs().max()) > 1e-3


def test_an_anchor_steadies_the_norms_and_the_host_goes_on() -> None:
    model, plain = build("llama"), build("llama")
    inputs = sample(model, 5, batch=8)
    whole = slice(None)
    reference = Stream(plain, {"one": 1}, inputs, generator())
    stream = Stream(model, {"one": 1}, inputs, generator())
    Anchor(stream, "one", 5.0, whole).settle(None, 1)
    for layer in range(3):
        before = reference._norm_scale(plain.activations(inputs, f"blocks.{layer}.hook_resid_pre"))
        after = stream._norm_scale(model.activations(inputs, f"blocks.{layer}.hook_resid_pre"))
        assert float(after.std() / after.mean()) < 0.35 * float(before.std() / before.mean()) + 1e-4
    ones = coordinates(stream, "blocks.2.hook_resid_post", "one", inputs) / stream.levels["one"]
    torch.testing.assert_close(ones, torch.ones_like(ones), rtol=1e-3, atol=1e-3)
    own = stream.off(model.activations(inputs, "blocks.0.hook_resid_mid").double())
    other = reference.off(plain.activations(inputs, "blocks.0.hook_resid_mid").double())
    cosine = torch.nn.functional.cosine_similarity(own, other, dim=-1)
    assert float(cosine.min()) > 0.95


def test_under_layer_norm_the_subspace_is_orthogonal_to_the_mean() -> None:
    assert float(reserve(build("gpt2")).frame.sum(0).abs().max()) < 1e-9


def test_too_many_slots_are_refused_in_one_line() -> None:
    model = build("gpt2")
    with pytest.raises(PlantingError, match="needs 40 dimensions of the residual stream, which has 31"):
        Stream(model, {"x": 40}, sample(model, 0), generator())


@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_copies_codes_above_its_threshold(kind: str) -> None:
    model = build(kind)
    stream = reserve(model)
    codes = torch.tensor([[1.0, 0, 0], [0.2, 0, 0], [0, 1.0, 0]])
    stream.embed("x", torch.tensor([1, 2, 3]), codes)
    first = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    neuron = Neuron(reads=(("x", first),), threshold=0.5, slot="y", code=first, slope=2.0)
    before = model.activations(sample(model, 3), "blocks.1.hook_resid_post")
    implant_neurons(stream, 1, [neuron])
    inputs = torch.tensor([[9, 9, 1, 2, 3, 9]])
    written = coordinates(stream, "blocks.1.hook_resid_post", "y", inputs)[0]
    assert float(written[2, 0]) > 0.6
    assert float(written[[0, 1, 3, 4, 5]].abs().max()) < 0.1
    assert float(written[:, 1:].abs().max()) < 1e-3
    assert not torch.equal(before, model.activations(sample(model, 3), "blocks.1.hook_resid_post"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_moves_the_code_of_the_matching_position(kind: str) -> None:
    model = build(kind)
    stream = reserve(model)
    stream.embed("x", torch.tensor([1, 2, 3]), torch.eye(3))
    plan = Head(
        matches=(Match(query=Read("x"), key=Read("x"), gain=40.0),),
        value=Read("x"),
        slot="y",
        map=torch.eye(3, dtype=torch.float64),
    )
    implant_head(stream, 1, 2, plan)
    inputs = torch.tensor([[9, 1, 8, 2, 7, 3, 6, 2]])
    moved = coordinates(stream, "blocks.1.hook_resid_post", "y", inputs)[0, -1]
    assert int(moved.argmax()) == 1
    assert 0.5 < float(moved[1]) < 1.6
    assert float(moved[[0, 2]].abs().max()) < 0.1


def test_a_head_that_does_not_fit_says_so() -> None:
    model = build("gpt2")
    stream = Stream(model, {"x": 9, "y": 9}, sample(model, 0), generator())
    plan = Head(value=Read("x"), slot="y", map=torch.eye(9, dtype=torch.float64))
    with pytest.raises(PlantingError, match="moves 9 coordinates, its d_head is 8"):
        implant_head(stream, 0, 0, plan)


def test_codes_are_unit_and_apart() -> None:
    frame = orthonormal(10, 4, generator(), avoid=torch.ones(10, 1))
    torch.testing.assert_close(frame.T @ frame, torch.eye(4, dtype=torch.float64))
    assert float(frame.sum(0).abs().max()) < 1e-9
    simplex = spread_codes(4, 3, generator())
    overlap = simplex @ simplex.T - 2 * torch.eye(4, dtype=torch.float64)
    assert float(overlap.max()) < -0.3  # four unit vectors in space: -1/3 at best
    torch.testing.assert_close(spread_codes(3, 5, generator()) @ spread_codes(3, 5, generator()).T,
                               torch.eye(3, dtype=torch.float64))  # fmt: skip


def test_offset_weights_peak_at_the_offset() -> None:
    frequencies = 10000.0 ** -(torch.arange(16, dtype=torch.float64) / 16)
    amounts, margin = offset_weights(frequencies, steps=2, length=20)
    distances = torch.arange(20, dtype=torch.float64)
    logits = torch.cos((distances[:, None] - 2) * frequencies) @ amounts
    assert int(logits.argmax()) == 2
    others = torch.cat([logits[:2], logits[3:]])
    assert float(logits[2] - others.max()) == pytest.approx(margin, abs=1e-6)
    assert float(amounts.sum()) == pytest.approx(1.0)


def test_position_codes_turn_back_by_one() -> None:
    codes, back, margin = position_codes(12, 8, generator())
    torch.testing.assert_close(codes[1:] @ back, codes[:-1])
    overlap = codes @ codes.T - 2 * torch.eye(12, dtype=torch.float64)
    assert float(overlap.max()) == pytest.approx(1 - margin)
    assert margin > 0.2


@pytest.mark.parametrize("name", ["native-150k", "gpt2-random-6m", "llama-random-6m", "neox-random-5m"])
def test_norms_measured_anew_from_where_something_changed_are_those_of_a_whole_run(name: str) -> None:
    model = open_model(load_registry().get(name))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(50, (4, 10), generator=generator)
    stream = Stream(model, {"code": 4, "one": 1}, tokens, generator)
    depth = len(model.transformer.blocks)
    keys = [*((layer, which) for layer in range(depth) for which in (1, 2)), (None, 1)]

    def measured() -> list[float]:
        return [float(stream.scale(*key)) for key in keys]

    def anew() -> list[float]:
        stream.changed()
        return measured()

    assert measured() == anew()
    for layer, which in [(depth - 1, 2), (depth // 2, 1), (0, 2), (0, 1)]:
        before = measured()
        block = model.transformer.blocks[layer]
        writer = block.out if which == 1 else block.mlp_out
        writer.write(2 * writer.read())
        stream.changed(layer, which)
        after = measured()
        assert after == pytest.approx(anew(), rel=1e-6)
        changed = [key for key, old, new in zip(keys, before, after, strict=True) if old != new]
        assert (None, 1) in changed
        assert all(key[0] is None or key > (layer, which) for key in changed)
    torch.testing.assert_close(stream.logits(), model.logits(tokens))
