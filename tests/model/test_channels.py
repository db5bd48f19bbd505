"""The circuit graph of a CNN: its nodes and edges, exact cuts, and gradients that agree with them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from interp_bench.errors import SiteError
from interp_bench.model.channel_graph import build_channel_graph, channel_groups
from interp_bench.model.edge_writes import record_writes
from interp_bench.model.edges import edge_attributions, patched_logits, source_outputs
from interp_bench.model.handle import Model
from interp_bench.registry import load_registry, open_module
from tests.model.cnns import build_cnn, pixels

KINDS = ("linear", "resnet", "bottleneck", "convnext")


@pytest.fixture(scope="module", params=KINDS)
def cnn(request: pytest.FixtureRequest) -> Model:
    return build_cnn(request.param)


# ------------------------------------------------------------------- the graph
def test_groups_are_eight_or_of_three_channels_and_cover_the_layer() -> None:
    assert channel_groups(64) == tuple(slice(8 * i, 8 * i + 8) for i in range(8))
    assert channel_groups(12) == (slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12))
    assert channel_groups(16) == (slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12), slice(12, 16))
    assert channel_groups(5) == (slice(0, 5),)


def test_edges_join_the_groups_of_neighbouring_layers() -> None:
    graph = build_cnn("linear").graph
    assert graph.edges() == [
        ("stem.g0", "layer1.0.g0"), ("stem.g1", "layer1.0.g0"),
        ("stem.g0", "layer1.0.g1"), ("stem.g1", "layer1.0.g1"),
        ("layer1.0.g0", "layer1.1.g0"), ("layer1.0.g1", "layer1.1.g0"),
        ("layer1.0.g0", "layer1.1.g1"), ("layer1.0.g1", "layer1.1.g1"),
        ("layer1.1.g0", "logits"), ("layer1.1.g1", "logits"),
    ]  # fmt: skip
    assert graph.n_edges == int(graph.valid.sum()) == 10
    assert graph.n_roots == 2
    assert graph.mask([("layer1.0.g1", "layer1.1.g0")]).nonzero().tolist() == [[3, 2]]


def test_downsampling_between_stages_is_a_layer_of_its_own() -> None:
    layers = dict.fromkeys(name.rpartition(".")[0] for name in build_cnn("convnext").graph.sources)
    assert list(layers) == [
        "stem", "stages.0.blocks.0",
        "stages.1.downsample", "stages.1.blocks.0", "stages.1.blocks.1",
        "stages.2.downsample", "stages.2.blocks.0", "stages.3.downsample", "stages.3.blocks.0",
    ]  # fmt: skip


def test_edges_that_skip_a_layer_do_not_exist() -> None:
    graph = build_channel_graph({"stem": 6, "a": 6, "b": 6})
    with pytest.raises(SiteError, match="not in the layer before"):
        graph.index(("stem.g0", "b.g1"))
    with pytest.raises(SiteError, match="computed after"):
        graph.index(("b.g0", "a.g1"))


def test_networks_of_other_kinds_have_no_graph() -> None:
    spec = load_registry().get("resnet18")
    with pytest.raises(SiteError, match="no transformer, ResNet or ConvNeXt"):
        _ = Model(spec, nn.Sequential(nn.Conv2d(3, 4, 3))).graph


# ------------------------------------------------------------------------ cuts
def test_sources_are_the_values_of_channel_groups(cnn: Model) -> None:
    x = pixels(0)
    rows = source_outputs(cnn, x)
    name = cnn.sites[1]
    first = cnn.graph.sources.index(f"{name}.g0")
    with cnn.record(name) as cache:
        cnn(x)
    values = cache[name].transpose(1, 2)
    for group, channels in enumerate(channel_groups(values.shape[1])):
        flat = values[:, channels].flatten(1)
        assert torch.equal(rows[first + group, :, 0, : flat.shape[1]], flat)
        assert not rows[first + group, :, 0, flat.shape[1] :].any()


def test_cutting_nothing_is_the_plain_forward_and_cutting_all_the_other_run(cnn: Model) -> None:
    clean, corrupted = pixels(0), pixels(1)
    replacement = source_outputs(cnn, corrupted)
    with torch.no_grad():
        plain, other = cnn(clean), cnn(corrupted)
        nothing = patched_logits(cnn, clean, replacement, torch.zeros(cnn.graph.shape, dtype=torch.bool))
        everything = patched_logits(cnn, clean, replacement, cnn.graph.valid)
    assert torch.equal(nothing, plain)
    torch.testing.assert_close(everything, other, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain, other, atol=1e-3)


def test_one_cut_edge_equals_the_block_run_by_hand() -> None:
    cnn = build_cnn("resnet")
    clean, corrupted = pixels(0), pixels(1)
    blocks = cnn.cnn.blocks
    edge = ("layer2.0.g1", "layer2.1.g2")
    groups = channel_groups(24)
    with torch.no_grad():
        with cnn.record("layer2.0") as cache:
            cnn(corrupted)
            other = cnn.site("layer2.0").write(torch.empty(3, 24, 8, 8), cache["layer2.0"])
            cnn(clean)
            x = cnn.site("layer2.0").write(torch.empty(3, 24, 8, 8), cache["layer2.0"])
        mixed = x.clone()
        mixed[:, groups[1]] = other[:, groups[1]]
        out = blocks["layer2.1"](x)
        out[:, groups[2]] = blocks["layer2.1"](mixed)[:, groups[2]]
        with cnn.patch({"layer2.1": out.flatten(2).transpose(1, 2)}):
            by_hand = cnn(clean)
        cut = patched_logits(cnn, clean, source_outputs(cnn, corrupted), cnn.graph.mask([edge]))
    torch.testing.assert_close(cut, by_hand, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(cut, cnn(clean), atol=1e-4)


def test_a_cut_of_its_own_in_each_row_equals_separate_runs(cnn: Model) -> None:
    clean, replacement = pixels(0), source_outputs(cnn, pixels(1))
    cuts = torch.rand(3, *cnn.graph.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    with torch.no_grad():
        together = patched_logits(cnn, clean, replacement, cuts)
        apart = [patched_logits(cnn, clean[i : i + 1], replacement[:, i : i + 1], cuts[i]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------- gradients
def margin(logits: Tensor) -> Tensor:
    return logits[:, 0] - logits[:, 1]


def exact_effects(cnn: Model, clean: Tensor, corrupted: Tensor) -> Tensor:
    replacement = source_outputs(cnn, corrupted)
    effects = torch.zeros(cnn.graph.shape)
    with torch.no_grad():
        whole = margin(cnn(clean)).sum()
        for edge in cnn.graph.edges():
            cut = cnn.graph.mask([edge])
            effects[cut] = margin(patched_logits(cnn, clean, replacement, cut)).sum() - whole
    return effects


def test_attributions_of_a_linear_network_are_exact() -> None:
    cnn = build_cnn("linear")
    clean, corrupted = pixels(0), pixels(1)
    deltas = source_outputs(cnn, corrupted) - source_outputs(cnn, clean)
    scores = edge_attributions(cnn, clean, margin, deltas)
    exact = exact_effects(cnn, clean, corrupted)
    torch.testing.assert_close(scores, exact, rtol=1e-4, atol=1e-5)
    assert int((exact.abs() > 1e-3).sum()) >= 8


@pytest.mark.parametrize("kind", ["resnet", "convnext"])
def test_attributions_are_the_limit_of_small_changes(kind: str) -> None:
    cnn = build_cnn(kind)
    cnn.module.double()
    clean, corrupted = pixels(0).double(), pixels(1).double()
    outputs = source_outputs(cnn, clean)
    deltas = 1e-6 * (source_outputs(cnn, corrupted) - outputs)
    scores = edge_attributions(cnn, clean, margin, deltas)
    assert not scores[~cnn.graph.valid].any()
    rows = torch.randperm(cnn.graph.n_edges, generator=torch.Generator().manual_seed(0))[:12]
    with torch.no_grad():
        whole = margin(cnn(clean)).sum()
        for edge in [cnn.graph.edges()[i] for i in rows.tolist()]:
            cut = cnn.graph.mask([edge])
            effect = margin(patched_logits(cnn, clean, outputs + deltas, cut)).sum() - whole
            torch.testing.assert_close(effect, scores[cut][0], rtol=1e-3, atol=1e-13)


def test_a_held_stem_takes_the_place_of_the_inputs(cnn: Model) -> None:
    clean, corrupted = pixels(0), pixels(1)
    other = record_writes(cnn, corrupted)
    held = edge_attributions(cnn, clean, margin, other.stack(), held={"0": other.parts["0"]})
    torch.testing.assert_close(held, edge_attributions(cnn, corrupted, margin, lambda own: own))


def test_passes_are_counted_and_hooks_taken_off(cnn: Model) -> None:
    before = (cnn.meter.forwards, cnn.meter.backwards)
    _ = cnn.graph
    outputs = source_outputs(cnn, pixels(0))
    edge_attributions(cnn, pixels(0), margin, outputs)
    assert (cnn.meter.forwards - before[0], cnn.meter.backwards - before[1]) == (2, 1)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in cnn.module.modules())


def test_the_slim_host_has_a_graph_of_few_edges() -> None:
    spec = load_registry().get("convnext-slim-20k")
    graph = Model(spec, open_module(spec)).graph
    widths = [12, 12, 16, 16, 20, 20, 24, 24]
    sizes = [len(channel_groups(width)) for width in widths]
    assert graph.n_edges == sum(a * b for a, b in pairwise(sizes)) + sizes[-1]
