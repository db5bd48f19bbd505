"""The parts of a circuit in channel groups: scenes, routes, directions, rewritten blocks."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from interp_bench.errors import PlantingError
from interp_bench.planting.channels.blocks import Rewrite
from interp_bench.planting.channels.directions import draw_directions, span_of
from interp_bench.planting.channels.folding import fold_block, fold_norm
from interp_bench.planting.channels.route import CONSTANT, JOINED, Stop, draw_route, pick_meeting
from interp_bench.planting.channels.scenes import Scenes, find_corners


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------ scenes
def test_patterns_stand_apart_on_the_grid_of_the_meeting_layer() -> None:
    corners = find_corners(64, 7, pitch=4, origin=-3, factor=4)
    assert corners.shape == (16, 4, 2) or corners.shape == (16, 1, 2)
    assert int(corners.min()) >= 0
    assert int(corners.max()) <= 64 - 7
    positions = (corners + 3) // 4
    assert torch.equal((corners + 3) % 4, torch.zeros_like(corners))
    cells = positions // 4
    assert bool((cells == cells[:, :1]).all())
    assert len({tuple(c) for c in cells[:, 0].tolist()}) == 16


def test_a_scene_adds_both_patterns_at_one_place() -> None:
    cells = torch.ones(2, 2, 3, 4, 4)
    cells[1] = -1
    cells[:, 1] *= 3
    scenes = Scenes(
        size=32, cells=cells, tiles=2, amplitude=0.5, lures=1,
        corners=find_corners(32, 8, pitch=4, origin=0, factor=2),
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip
    layout = scenes.layout(3, generator())
    images = scenes.draw(layout, torch.tensor([[0, 1], [1, 0], [1, 1]]))
    added = (images - layout.images).flatten(1)
    expected = torch.tensor([-1.0, 1.0, 0.0])
    for row, value in zip(added, expected, strict=True):
        touched = row[row.abs() > 1e-4]
        assert touched.numel() == (0 if value == 0 else 3 * 64)
        torch.testing.assert_close(touched, torch.full_like(touched, float(value)))


# ------------------------------------------------------------------------ routes
def stops(*moves: str) -> tuple[Stop, ...]:
    return tuple(
        Stop(name=f"l{i}", width=48, side=8, moves=move, joins=move != "always")  # type: ignore[arg-type]
        for i, move in enumerate(moves)
    )


def test_edges_follow_every_stream_and_join() -> None:
    way = draw_route(
        stops("always", "never", "never", "always"), 2, shares=1, moves=0.5, constant=True,
        generator=generator(),
    )  # fmt: skip
    assert len(way.edges) == 2 + 2 + 1 + 1
    assert way.groups[1] == way.groups[0]
    assert len(set(way.groups[0].values())) == 3
    assert set(way.groups[0]) == {"a0", "b0", CONSTANT}
    assert set(way.groups[2]) == set(way.groups[3]) == {JOINED}
    into_meeting = [edge for edge in way.edges if edge[1] == way.node(2, JOINED)]
    assert {edge[0] for edge in into_meeting} == {way.node(1, "a0"), way.node(1, "b0")}
    assert way.edges[-1] == (way.node(3, JOINED), "logits")


def test_streams_stay_or_move_as_the_dial_says() -> None:
    for moves, expected in ((0.0, False), (1.0, True)):
        changed = 0
        for seed in range(10):
            way = draw_route(
                stops("always", "may", "may", "may"), 3, shares=1, moves=moves, constant=False,
                generator=generator(seed),
            )  # fmt: skip
            changed += sum(way.moved(stop, s) for stop in (1, 2) for s in ("a0", "b0"))
        assert (changed > 0) is expected


def test_patterns_meet_in_the_middle_where_positions_are_left() -> None:
    line = stops("always", "never", "never", "never", "never", "never", "never", "never", "never")
    met = {pick_meeting(line, None, generator(seed)) for seed in range(40)}
    assert met == {2, 3, 4, 5, 6}
    assert pick_meeting(line, 1.0, generator()) == 8
    with pytest.raises(PlantingError, match="no block of this network"):
        pick_meeting(stops("always", "always"), None, generator())


# --------------------------------------------------------------------- the parts
def test_directions_are_apart_and_safe_from_layer_norms() -> None:
    wide = draw_directions(3, 12, slice(3, 9), generator()).vectors
    torch.testing.assert_close(wide @ wide.T, torch.eye(3, dtype=torch.float64))
    tight = draw_directions(3, 12, slice(3, 6), generator()).vectors
    expected = 1.5 * torch.eye(3, dtype=torch.float64) - 0.5
    torch.testing.assert_close(tight @ tight.T, expected)
    for vectors in (wide, tight):
        torch.testing.assert_close(vectors.sum(1), torch.zeros(3, dtype=torch.float64))
        assert not vectors[:, :3].any()
    basis = span_of([draw_directions(3, 12, slice(3, 6), generator())])
    assert basis.shape == (12, 2)


@pytest.mark.parametrize("kind", ["resnet18", "resnet50"])
def test_a_rewritten_block_moves_a_stream_and_leaves_the_rest(kind: str) -> None:
    module = timm.create_model(
        kind, channels=(16, 16, 16, 16), layers=(2, 1, 1, 1), zero_init_last=False
    ).eval()
    block = module.layer1[1]
    width = block.bn2.num_features if kind == "resnet18" else block.bn3.num_features
    x = torch.rand(2, width, 5, 5, generator=generator())
    with torch.no_grad():
        before = block(x)
        rewrite = Rewrite(block, width, width)
        read = torch.zeros(1, width, dtype=torch.float64)
        read[0, 2] = 1
        rewrite.write(rewrite.read(read, threshold=0.25), 2 * torch.eye(width, dtype=torch.float64)[:, 7:8])
        rewrite.clear(torch.tensor([2]), torch.tensor([7]))
        rewrite.apply(generator())
        after = block(x)
    torch.testing.assert_close(after[:, 7], 2 * (x[:, 2] - 0.25).clamp_min(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after[:, 2], torch.zeros_like(after[:, 2]), rtol=0, atol=1e-5)
    rest = [i for i in range(width) if i not in (2, 7)]
    assert after[:, rest].shape == before[:, rest].shape
    assert bool((after[:, rest] != x[:, rest].clamp_min(0)).any())


def test_folding_a_norm_changes_nothing() -> None:
    module = timm.create_model("convnext_atto", dims=(12, 16, 20, 24), depths=(1, 1, 1, 1), ls_init_value=0.3)
    module.eval().requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.weight.copy_(0.5 + torch.rand(part.weight.shape, generator=generator(1)))
            part.bias.copy_(torch.randn(part.bias.shape, generator=generator(2)))
    images = torch.randn(2, 3, 64, 64, generator=generator(3))
    before = module(images)
    for stage in module.stages:
        for block in stage.blocks:
            fold_block(block)
        if isinstance(stage.downsample, nn.Sequential):
            fold_norm(stage.downsample[0], stage.downsample[1])
    fold_norm(module.head.norm, module.head.fc)
    torch.testing.assert_close(module(images), before, rtol=1e-4, atol=1e-5)
    assert bool((module.stages[0].blocks[0].gamma == 1).all())
