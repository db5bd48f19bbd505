"""The shipped models.yaml: what it must hold, and that every parameter count in it is exact."""

from __future__ import annotations

import pytest

from interp_bench.errors import RegistryError
from interp_bench.registry import Registry, count_parameters, load, load_registry
from interp_bench.registry.document import parse

QUICK = {
    "native-30k", "native-150k", "native-900k", "native-5m", "smollm2-135m",
    "convnext-slim-20k", "resnet18", "vit-slim-200k", "vit-tiny",
}  # fmt: skip
REGISTRY = load_registry()


@pytest.fixture(scope="module")
def registry() -> Registry:
    return REGISTRY


def test_it_holds_enough_rows_on_enough_ladders_from_thousands_to_billions(registry: Registry) -> None:
    assert len(registry) >= 60
    assert len(registry.ladders) >= 10
    for modality in ("lm", "image"):
        sizes = [spec.params for spec in registry if spec.modality == modality]
        assert min(sizes) < 50_000
        assert max(sizes) > 6_000_000_000
    assert {spec.source.kind for spec in registry} == {"native", "timm", "transformers", "gguf"}


def test_the_quick_tier_is_exactly_the_ten_small_models(registry: Registry) -> None:
    assert {spec.id for spec in registry if spec.tier == "quick"} == QUICK


def test_quick_image_models_take_small_pictures_with_sixteen_classes(registry: Registry) -> None:
    for spec in registry:
        if spec.tier == "quick" and spec.source.kind == "timm":
            assert 64 <= spec.source.image_size <= 96
            assert spec.source.num_classes == 16


@pytest.mark.parametrize("ladder", sorted(REGISTRY.ladders))
def test_every_count_is_what_the_meta_device_says(ladder: str) -> None:
    rows = REGISTRY.ladders[ladder]
    assert {spec.id: spec.params for spec in rows} == {spec.id: count_parameters(spec) for spec in rows}


def test_counts_agree_with_the_published_ones(registry: Registry) -> None:
    published = {
        "pythia-160m": 162_322_944,
        "pythia-6.9b": 6_857_302_016,
        "gpt2-xl": 1_557_611_200,
        "qwen2.5-0.5b": 494_032_768,
        "smollm2-135m": 134_515_008,
        "smollm2-1.7b": 1_711_376_384,
        "resnet50-in1k": 25_557_032,
    }
    assert {name: registry.get(name).params for name in published} == published


def test_published_weights_are_pinned_and_capability_names_its_source(registry: Registry) -> None:
    for spec in registry:
        source = spec.source
        if source.kind == "transformers" and source.repo is not None:
            assert source.revision not in (None, "main")
        if spec.capability is not None:
            assert spec.capability.source.startswith("https://")
            assert 0 < spec.capability.value < 1
        assert spec.capability is None or not spec.random


def test_restricted_licenses_are_named(registry: Registry) -> None:
    licenses = {spec.id: spec.license for spec in registry}
    assert licenses["qwen2.5-3b"] == "Qwen Research License"
    assert licenses["dinov3-7b"] == "DINOv3 License"
    assert licenses["gpt2"] == "MIT"


def test_an_unknown_model_gets_a_near_name(registry: Registry) -> None:
    with pytest.raises(
        RegistryError, match=r"no model 'resnet81' in models.yaml \(did you mean 'resnet18'\?\)"
    ):
        registry.get("resnet81")


def test_the_revision_follows_the_weights_and_nothing_else(registry: Registry) -> None:
    spec = registry.get("native-30k")
    other_seed = spec.source.model_copy(update={"seed": 2})
    assert spec.model_copy(update={"source": other_seed}).revision != spec.revision
    assert spec.model_copy(update={"notes": "new"}).revision == spec.revision
    assert len({s.revision for s in registry}) == len(registry)


def test_the_same_text_is_checked_once_and_a_changed_one_again(tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr(load, "parse", lambda text, name: checked.append(text) or parse(text, name))
    path = tmp_path / "models.yaml"
    path.write_text(load.default_path().read_text(encoding="utf-8") + "# once\n", encoding="utf-8")
    assert load_registry(path) is load_registry(path)
    assert len(checked) == 1
    path.write_text(path.read_text(encoding="utf-8") + "# again\n", encoding="utf-8")
    load_registry(path)
    assert len(checked) == 2
