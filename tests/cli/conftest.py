"""A small project to run commands in: four models, one of them absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from interp_bench.cli import main

LADDERS = """\
ladders:
  - {name: native-ln, modality: lm, about: "Random GPT-2-like networks."}
  - {name: pair, modality: image, about: "Two sizes of one image model."}
models:
"""
ROW = """\
  - id: %s
    tier: %s
    params: %d
    modality: %s
    kind: %s
    ladder: %s
    license: Apache-2.0
    memory_gb: 1.0
    source: %s
"""
NATIVE = (
    "{kind: native, seed: 1, config: {d_model: 32, d_head: 8, n_heads: 4, n_layers: 2, n_ctx: 16, "
    "d_vocab: 32, d_mlp: 64, act_fn: gelu, positional_embedding_type: standard}}"
)
TIMM = "{kind: timm, architecture: resnet18, image_size: 32, num_classes: 10}"
MODELS = LADDERS + "".join(
    (
        ROW % ("native-small", "quick", 1000, "lm", "native", "native-ln", NATIVE),
        ROW % ("native-large", "standard", 2000, "lm", "native", "native-ln", NATIVE),
        ROW
        % (
            "resnet-absent",
            "quick",
            1000,
            "image",
            "resnet",
            "pair",
            TIMM[:-1] + ", file: absent.safetensors}",
        ),
        ROW % ("resnet-random", "full", 2000, "image", "resnet", "pair", TIMM),
    )
)


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command in a folder with nothing but a models.yaml."""
    rows = tmp_path / "models.yaml"
    rows.write_text(MODELS, "utf-8")
    monkeypatch.setenv("INTERP_BENCH_MODELS", str(rows))
    monkeypatch.setenv("INTERP_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = main(arguments)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run
