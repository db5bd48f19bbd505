"""Availability: None, or one line that says why not and how to get there; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from interp_bench.errors import UnavailableError
from interp_bench.registry import availability, load_registry, open_module
from interp_bench.registry.availability import machine_memory_gb

REGISTRY = load_registry()
MODULE = sys.modules[machine_memory_gb.__module__]  # the package exports a function of the same name


@pytest.fixture(autouse=True)
def _empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERP_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("model_id", ["native-30k", "llama-random-6m", "resnet18"])
def test_random_weights_are_always_here(model_id: str) -> None:
    assert availability(REGISTRY.get(model_id)) is None


@pytest.mark.parametrize("model_id", ["smollm2-135m", "pythia-70m", "gpt2", "resnet18-in1k"])
def test_weights_to_fetch_say_how(model_id: str) -> None:
    spec = REGISTRY.get(model_id)
    reason = f"its weights are not on this machine; run: interp-bench fetch {model_id}"
    assert availability(spec) == reason
    with pytest.raises(UnavailableError, match=reason):
        open_module(spec)


def test_a_model_larger_than_the_machine_says_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "machine_memory_gb", lambda: 8.0)
    reason = availability(REGISTRY.get("llama-random-6.7b"))
    assert reason is not None
    assert reason.startswith("needs 17.8 GiB of memory; this machine has 8.0")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "find_spec", lambda name: None)
    assert (
        availability(REGISTRY.get("native-30k"))
        == "the package 'transformer_lens' is not installed; pip install transformer-lens"
    )
    assert importlib.util.find_spec("transformer_lens") is not None


def test_this_machine_has_memory() -> None:
    assert 0.5 < machine_memory_gb() < 1e5


def test_every_reason_is_one_line() -> None:
    reasons = [availability(spec) for spec in REGISTRY]
    assert all(reason is None or "\n" not in reason for reason in reasons)
    assert sum(reason is None for reason in reasons) >= 20
