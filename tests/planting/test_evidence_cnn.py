"""Evidence planted in convolutional hosts of every kind decides their logits, alone and in groups."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.evidence.base import Evidence, Scene, draw_classes
from interp_bench.planting.evidence.certify import certify_evidence, interchange_accuracy, read_logits
from interp_bench.planting.evidence.cnn import plant_evidence_cnn
from interp_bench.planting.evidence.images import (
    Stamps,
    backgrounds,
    make_stamps,
    matched_filters,
    sign_cells,
)
from interp_bench.registry import load_registry

HOSTS = ("resnet18", "convnext-slim-20k", "convnext-atto", "worn resnet26", "worn convnext")
GROUPS = (4, 4)


def worn(name: str, like: str, **arguments: object) -> Model:
    """A network whose norms are as uneven as after training."""
    generator = torch.Generator().manual_seed(3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, num_classes=16, **arguments)
    for part in module.modules():
        if isinstance(part, nn.LayerNorm | nn.BatchNorm2d):
            part.weight.data = 0.2 + 1.6 * torch.rand(part.weight.shape, generator=generator)
            part.bias.data = 0.5 * torch.randn(part.bias.shape, generator=generator)
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            part.running_mean += 0.3 * torch.randn(part.running_mean.shape, generator=generator)
    return Model(load_registry().get(like), module.eval().requires_grad_(False))


def host(name: str) -> Model:
    if name == "worn resnet26":
        return worn("resnet26", "resnet18", zero_init_last=False)
    if name == "worn convnext":
        return worn("convnext_atto", "convnext-atto", conv_mlp=False, ls_init_value=0.5)
    return open_model(load_registry().get(name))


def shown(evidence: Evidence, n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    classes = draw_classes(n, evidence.groups, generator)
    return evidence.sample(classes, generator).inputs, classes


@pytest.fixture(scope="module", params=HOSTS)
def case(request: pytest.FixtureRequest) -> tuple[Model, Evidence]:
    model = host(request.param)
    return model, plant_evidence_cnn(model, GROUPS, seed=5)


def test_each_group_is_decided_by_its_own_pattern(case: tuple[Model, Evidence]) -> None:
    model, evidence = case
    inputs, classes = shown(evidence, 128, 7)
    logits = read_logits(model, evidence, inputs)
    for group in (0, 1):
        members = evidence.members(group)
        right = logits[:, members].argmax(1) + members.start == classes[:, group]
        assert right.double().mean() >= 0.98


def test_carriers_swap_one_group_and_leave_the_other(case: tuple[Model, Evidence]) -> None:
    model, evidence = case
    base, source = shown(evidence, 48, 8), shown(evidence, 48, 9)
    assert tuple(evidence.carriers) == model.sites
    for site in (model.sites[0], model.sites[len(model.sites) // 2], model.sites[-1]):
        assert evidence.carriers[site].shape == (8, model.width(site))
        assert interchange_accuracy(model, evidence, site, base, source) >= 0.95


def test_the_certificate_passes(case: tuple[Model, Evidence]) -> None:
    model, evidence = case
    certificate = certify_evidence(model, evidence, 11)
    assert certificate.passed, certificate.reason


def test_one_group_of_eight_decides_too() -> None:
    for name in ("resnet18", "convnext-slim-20k"):
        model = host(name)
        evidence = plant_evidence_cnn(model, (8,), seed=1)
        inputs, classes = shown(evidence, 64, 2)
        assert (read_logits(model, evidence, inputs).argmax(1) == classes[:, 0]).double().mean() >= 0.98


def test_an_unplanted_host_is_not_certified() -> None:
    model = host("resnet18")
    evidence = plant_evidence_cnn(host("resnet18"), (8,), seed=1)
    certificate = certify_evidence(model, evidence, 11, n_sites=0)
    assert not certificate.passed
    assert "accuracy[0]" in certificate.reason


def test_evidence_that_a_host_sees_everywhere_fails_necessity() -> None:
    model = host("resnet18")
    evidence = plant_evidence_cnn(model, (8,), seed=1)
    model.cnn.head.weight.data.zero_()
    bias = model.cnn.head.bias
    bias.data[evidence.outputs[0]] += 100
    certificate = certify_evidence(model, evidence, 11, n_sites=0)
    assert not certificate.passed
    assert "logit_fall[0]" in certificate.reason


def test_the_seed_decides_everything_and_the_global_generator_nothing() -> None:
    before = torch.get_rng_state()
    weights = []
    for seed in (3, 3, 4):
        model = host("convnext-slim-20k")
        plant_evidence_cnn(model, GROUPS, seed=seed)
        weights.append(torch.cat([p.flatten() for p in model.module.parameters()]))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_hosts_that_cannot_hold_it_are_refused_in_one_line() -> None:
    with pytest.raises(PlantingError, match="10 patterns need 13 channels"):
        plant_evidence_cnn(host("convnext-slim-20k"), (5, 5), seed=0)
    with pytest.raises(PlantingError, match="as many classes"):
        plant_evidence_cnn(host("resnet18"), (20,), seed=0)
    with pytest.raises(PlantingError, match="not one convolution"):
        plant_evidence_cnn(worn("test_resnet", "resnet18"), (4,), seed=0)


# ------------------------------------------------------------------ images
def stamps(**changes: object) -> Stamps:
    arguments = {
        "size": 32, "cell": 4, "tiles": 2, "stride": 4, "offset": 0, "scene": Scene(amplitude=2.0, decoys=2),
        "device": torch.device("cpu"), "dtype": torch.float32, **changes,
    }  # fmt: skip
    return make_stamps(4, generator=torch.Generator().manual_seed(0), **arguments)


def test_filters_see_their_own_cell_and_nothing_else() -> None:
    cells = sign_cells(6, 4, torch.Generator().manual_seed(0))
    assert set(cells.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(cells.sum((2, 3)), torch.zeros(6, 3))
    filters = matched_filters(cells)
    torch.testing.assert_close(filters.flatten(1) @ cells.flatten(1).T, torch.eye(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(filters.sum((2, 3)), torch.zeros(6, 3), atol=1e-5, rtol=0)


def test_too_many_patterns_for_a_cell_are_refused() -> None:
    with pytest.raises(PlantingError, match="too few for 12 patterns"):
        matched_filters(sign_cells(12, 2, torch.Generator().manual_seed(0)))


def test_decoys_excite_no_filter() -> None:
    drawn = stamps()
    assert float((drawn.decoys.flatten(1) @ drawn.filters.flatten(1).T).abs().max()) <= 0.25


def test_a_stamp_adds_the_tiled_cell_under_its_mask() -> None:
    drawn = stamps(scene=Scene(amplitude=2.0, decoys=0))
    classes = torch.tensor([[2, -1]])
    sample = drawn(classes, torch.Generator().manual_seed(1))
    plain = backgrounds(1, 32, torch.Generator().manual_seed(1))
    mask = sample.masks[0, 0]
    assert mask.sum() == 64
    assert not sample.masks[0, 1].any()
    added = (sample.inputs - plain)[0]
    torch.testing.assert_close(added[:, mask].view(3, 8, 8), 2.0 * drawn.cells[2].repeat(1, 2, 2))
    assert float(added[:, ~mask].abs().max()) == 0.0


def test_stamps_are_aligned_and_never_overlap() -> None:
    drawn = stamps(stride=4, offset=1, scene=Scene(amplitude=2.0, decoys=0))
    generator = torch.Generator().manual_seed(2)
    masks = drawn(torch.tensor([[0, 1, 2]]).repeat(40, 1), generator).masks
    assert int(masks.sum(1).max()) == 1
    corners = masks.flatten(2).int().argmax(-1)
    assert set((corners % 32 % 4).flatten().tolist()) == {1}
    with pytest.raises(PlantingError, match="do not fit"):
        stamps(scene=Scene(decoys=30))(torch.tensor([[0]]), generator)


def test_classes_are_drawn_from_their_groups() -> None:
    classes = draw_classes(200, (2, 3), torch.Generator().manual_seed(0))
    assert set(classes[:, 0].tolist()) == {0, 1}
    assert set(classes[:, 1].tolist()) == {2, 3, 4}
