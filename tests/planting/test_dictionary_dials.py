"""Families, loudness and superposition of planted dictionaries; certificates notice what is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.branches import middle_branch
from interp_bench.planting.dictionaries.layout import lay_out
from interp_bench.planting.dictionaries.plant import Dials, PlantedDictionary, plant_dictionary
from interp_bench.planting.dictionaries.proof import certify_dictionary
from interp_bench.planting.dictionaries.rates import zipf_rates
from interp_bench.registry import load_registry

DIALS = Dials(samples=1500)
FAMILIES = replace(DIALS, hierarchy=0.5)


def host(name: str) -> Model:
    return open_model(load_registry().get(name))


@pytest.fixture(scope="module", params=["native-30k", "native-rope-200k", "vit-slim-200k", "resnet18"])
def families(request: pytest.FixtureRequest) -> tuple[Model, PlantedDictionary]:
    model = host(request.param)
    return model, plant_dictionary(model, 0, FAMILIES)


def test_families_are_certified(families: tuple[Model, PlantedDictionary]) -> None:
    certificate = certify_dictionary(*families)
    assert certificate.passed, certificate.reason
    assert {"child without parent", "siblings together", "near negative"} <= certificate.as_numbers().keys()


def test_children_fire_with_their_parent_as_strongly_and_one_at_a_time(
    families: tuple[Model, PlantedDictionary],
) -> None:
    planted = families[1]
    codes, parents = planted.codes, planted.parents
    children = (parents >= 0).nonzero().flatten()
    assert len(children) == 2 * (len(parents) // 4)  # a share of one half, in pairs
    first, second = children[::2], children[1::2]
    assert torch.equal(parents[first], parents[second])
    assert not ((codes[:, first] > 0) & (codes[:, second] > 0)).any()
    # A smooth unit puts out next to nothing just below its threshold.
    alone = planted.outputs.flatten(0, 1)[planted.rows].cpu()[:, parents[children]] <= 0
    with_child = (codes[:, children] > 0) & alone
    assert with_child.any()
    mine, of_parent = codes[:, children][with_child], codes[:, parents[children]][with_child]
    torch.testing.assert_close(of_parent, mine, rtol=1e-3, atol=1e-3)


def test_parents_fire_as_often_as_asked_and_children_a_bounded_share(
    families: tuple[Model, PlantedDictionary],
) -> None:
    planted = families[1]
    rates = (planted.codes > 0).double().mean(0)
    asked = zipf_rates(len(rates), DIALS.p_hi, DIALS.p_lo, 0.0)
    children = (planted.parents >= 0).nonzero().flatten()
    bounded = torch.minimum(asked[children], 0.3 * asked[planted.parents[children]])
    torch.testing.assert_close(rates[children], bounded, rtol=0, atol=2e-3)
    n_parents = len(children) // 2
    torch.testing.assert_close(rates[:n_parents], asked[:n_parents], rtol=0, atol=0.015)


def test_own_rates_leave_to_parents_what_children_do_not_bring() -> None:
    branch = middle_branch(host("native-150k"))
    rates = torch.tensor([0.5, 0.2, 0.1, 0.05], dtype=torch.float64)
    layout = lay_out(rates, 0.5, [branch])
    assert layout.rates.tolist() == pytest.approx([0.5, 0.15, 0.1, 0.05])  # at most 0.3 times the parent
    assert layout.own.tolist() == pytest.approx([0.25 / 0.75, 0.15, 0.1, 0.05])
    assert layout.mirrored.tolist() == [False, False, True, False]


def test_certificate_fails_when_a_child_does_not_bring_its_parent() -> None:
    model = host("native-30k")
    planted = plant_dictionary(model, 0, FAMILIES)
    held, children = planted.held[0], planted.parents >= 0
    alone = planted.directions * planted.gains[:, None]
    held.branch.write(held.units[children], alone[children])
    assert "direction 0." in certify_dictionary(model, planted).reason


def test_certificate_fails_when_siblings_overlap() -> None:
    model = host("native-30k")
    planted = plant_dictionary(model, 0, DIALS)
    parents = planted.parents.clone()
    parents[-2:] = 0
    outputs = planted.outputs.clone()
    outputs[..., -1] = outputs[..., -2]
    reason = certify_dictionary(model, replace(planted, parents=parents, outputs=outputs)).reason
    assert "siblings together 1" in reason


def test_certificate_fails_when_features_are_in_other_units() -> None:
    model = host("native-30k")
    planted = plant_dictionary(model, 0, DIALS)
    held = replace(planted.held[0], units=planted.held[0].units.roll(1))
    reason = certify_dictionary(model, replace(planted, held=(held,))).reason
    assert "near negative" in reason
    assert "direction" in reason


def test_ratio_takes_the_units_of_several_blocks() -> None:
    model = host("vit-slim-200k")
    planted = plant_dictionary(model, 0, replace(DIALS, ratio=8.0))
    assert planted.directions.shape == (512, 64)
    sizes = [len(held.features) for held in planted.held]
    assert sum(sizes) == 512
    assert max(sizes) - min(sizes) <= 32  # 224 units of the middle block are free, 256 of each above
    assert planted.site == planted.held[-1].branch.site == "blocks.3.hook_resid_post"
    certificate = certify_dictionary(model, planted)
    assert certificate.passed, certificate.reason
    part = planted.codes.double() @ planted.directions
    rest = planted.activations.double() - part
    ratio = (part - part.mean(0)).square().sum(1).mean() / (rest - rest.mean(0)).square().sum(1).mean()
    assert float(ratio.sqrt()) == pytest.approx(DIALS.snr, rel=0.25)


def test_ratio_starts_lower_where_the_blocks_above_are_too_few() -> None:
    model = host("native-150k")  # 128 units a block: 112 + 2 * 128 = 368 from the middle, 496 from below
    planted = plant_dictionary(model, 0, replace(DIALS, ratio=6.0))
    assert [held.branch.site[:8] for held in planted.held] == [f"blocks.{layer}" for layer in range(4)]
    certificate = certify_dictionary(model, planted)
    assert certificate.passed, certificate.reason


def test_certificate_fails_when_a_block_above_answers_to_features() -> None:
    model = host("vit-slim-200k")
    planted = plant_dictionary(model, 0, replace(DIALS, ratio=4.0))
    assert len(planted.held) == 2
    out = model.transformer.blocks[2].out
    drawn = torch.randn(out.n_rows, out.n_columns, generator=torch.Generator().manual_seed(0))
    out.write(drawn / out.n_rows**0.5)
    assert "sufficiency error" in certify_dictionary(model, planted).reason


def test_loudness_differs_as_much_as_asked() -> None:
    def gains(noise: float) -> torch.Tensor:
        return plant_dictionary(host("native-150k"), 0, replace(DIALS, magnitude_noise=noise)).gains

    assert float(gains(0.0).std()) == 0
    some = gains(0.5)
    assert 0.3 < float(some.std() / some.mean()) < 0.65
    assert float(some.min()) > 0


@pytest.mark.parametrize(
    ("model", "dials", "match"),
    [
        ("resnet18", {"ratio": 8.0}, r"room for 112 features, not 1024; ratio can be 0.88 at most"),
        ("convnext-slim-20k", {"ratio": 8.0}, r"ratio can be 3.50 at most"),
        ("native-30k", {"ratio": 9.0}, "ratio is 9; it goes from 0 to 8"),
        ("native-30k", {"hierarchy": 0.8}, "hierarchy is 0.8"),
        ("native-30k", {"magnitude_noise": -0.1}, "magnitude_noise is -0.1"),
        ("native-30k", {"p_lo": 0.2}, "0 < p_lo <= p_hi < 1"),
        ("native-30k", {"zipf": -1.0}, "Zipf exponent"),
        ("native-30k", {"snr": 0.0}, "snr is 0"),
    ],
)
def test_dials_that_cannot_be_met_are_refused(model: str, dials: dict[str, float], match: str) -> None:
    with pytest.raises(PlantingError, match=match):
        plant_dictionary(host(model), 0, replace(DIALS, **dials))


def test_zipf_bends_the_rates_between_the_same_ends() -> None:
    rates = (plant_dictionary(host("native-150k"), 0, replace(DIALS, zipf=1.0)).codes > 0).double().mean(0)
    assert float(rates[0]) == pytest.approx(DIALS.p_hi, abs=0.005)
    assert float(rates[1]) == pytest.approx(0.01 + 0.07 * (1 / 2 - 1 / 64) / (1 - 1 / 64), abs=0.005)
    assert float(rates[-1]) == pytest.approx(DIALS.p_lo, abs=0.005)
