"""Weights from folders and files on this machine: safetensors only, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from interp_bench.errors import UnavailableError
from interp_bench.registry import ModelSpec, availability, open_module

CONFIG = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "tie_word_embeddings": True,
}


def row(source: dict[str, Any], **changes: Any) -> ModelSpec:
    fields = {
        "id": "local", "modality": "lm", "kind": "llama", "ladder": "local", "params": 1000,
        "license": "MIT", "memory_gb": 1, "tier": "standard", "source": source,
    }  # fmt: skip
    return ModelSpec.model_validate({**fields, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fields = {key: value for key, value in CONFIG.items() if key != "model_type"}
        model = LlamaForCausalLM(LlamaConfig(**fields, bos_token_id=0, eos_token_id=0))
    model.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def local(folder: Path) -> ModelSpec:
    return row({"kind": "transformers", "directory": str(folder), "config": CONFIG})


def test_a_folder_opens_with_its_weights_and_an_untied_head(folder: Path) -> None:
    reference: Any = LlamaForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    spec = local(folder)
    assert availability(spec) is None
    module: Any = open_module(spec)
    x = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.allclose(module(x).logits, reference(x).logits, atol=1e-6)
    head, embedding = module.lm_head.weight, module.model.embed_tokens.weight
    assert torch.equal(head, embedding)
    assert head.data_ptr() != embedding.data_ptr()
    with torch.no_grad():
        head.zero_()
    assert embedding.abs().max() > 0


def test_a_folder_opens_with_the_hub_switched_off(folder: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tests.registry.test_local_weights import local\n"
        "from interp_bench.registry import open_module\n"
        "print(type(open_module(local(Path(sys.argv[1])))).__name__)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), root],
        capture_output=True, text=True, env=environment, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "LlamaForCausalLM", done.stderr[-2000:]


def test_pickled_weights_are_refused_in_one_line(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    spec = local(folder)
    message = "holds pickled weights, which can run code when opened; save them as safetensors"
    assert message in str(availability(spec))
    with pytest.raises(UnavailableError, match=message) as raised:
        open_module(spec)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "holds no config.json"), ("model.safetensors", "holds no safetensors")],
)
def test_an_incomplete_folder_says_what_is_missing(folder: Path, missing: str, message: str) -> None:
    (folder / missing).unlink()
    assert message in str(availability(local(folder)))


def test_damaged_weights_are_one_line(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UnavailableError, match=r"^cannot open the weights in [^\n]+$"):
        open_module(local(folder))


def test_weights_that_lack_a_tensor_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(UnavailableError, match=r"are incomplete: model.norm.weight is missing$"):
        open_module(local(folder))


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    assert str(availability(local(tmp_path / "nowhere"))).startswith("there is no folder ")


def test_an_image_model_opens_from_a_local_file(tmp_path: Path) -> None:
    args = {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}
    with torch.random.fork_rng(devices=[]):
        original: Any = timm.create_model("convnext_atto", num_classes=4, **args).eval()
    path = tmp_path / "weights.safetensors"
    source = {
        "kind": "timm", "architecture": "convnext_atto", "args": args, "file": str(path),
        "image_size": 64, "num_classes": 4,
    }  # fmt: skip
    spec = row(source, modality="image", kind="convnext")
    assert str(availability(spec)).startswith("there is no file ")
    with pytest.raises(UnavailableError, match="there is no file"):
        open_module(spec)
    save_file(original.state_dict(), path)
    assert availability(spec) is None
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(open_module(spec)(x), original(x), atol=1e-5)
