"""Each mistake in a models.yaml is one line with the file, the line number and the way out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interp_bench.errors import RegistryError
from interp_bench.registry import load_registry

GOOD = """\
ladders:
  - name: tiny
    modality: lm
    about: Two tiny networks.
models:
  - id: tiny-a
    modality: lm
    kind: native
    ladder: tiny
    tier: quick
    params: 1000
    memory_gb: 1
    license: Apache-2.0
    source:
      kind: native
      seed: 1
      config: {d_model: 8, d_head: 4, n_heads: 2, n_layers: 1, n_ctx: 16, d_vocab: 32}
  - id: tiny-b
    modality: lm
    kind: native
    ladder: tiny
    tier: quick
    params: 2000
    memory_gb: 1
    license: Apache-2.0
    source:
      kind: native
      seed: 1
      config: {d_model: 16, d_head: 4, n_heads: 4, n_layers: 1, n_ctx: 16, d_vocab: 32}
"""
LLAMA = (
    "{model_type: llama, vocab_size: 32, hidden_size: 8, intermediate_size: 16, "
    "num_hidden_layers: 1, num_attention_heads: 2}"
)
NATIVE = GOOD[GOOD.index("    source:\n      kind: native") : GOOD.index("  - id: tiny-b")]


def llama(rest: str, config: str = LLAMA) -> tuple[str, str]:
    """Return the replacement that turns the first row into a transformers row."""
    old = GOOD[GOOD.index("    kind: native") : GOOD.index("  - id: tiny-b")]
    new = old.replace("kind: native\n    ladder", "kind: llama\n    ladder").replace(
        NATIVE, f"    source:\n      kind: transformers\n{rest}      config: {config}\n"
    )
    return old, new


CASES = [
    ("params: 1000", "parms: 1000", 11, "unknown key 'parms' (did you mean 'params'?)"),
    ("    license: Apache-2.0\n    source", "    source", 6, "the key 'license' is missing"),
    ("id: tiny-b", "id: tiny-a", 18, "id 'tiny-a' is taken by line 6"),
    ("tier: quick", "tier: quikc", 10, "tier 'quikc' is none of 'quick', 'standard', 'full' (did"),
    ("modality: lm\n    kind", "modality: text\n    kind", 7, "modality 'text' is none of 'lm', 'image'"),
    ("params: 1000", "params: 0", 11, "params 0 is impossible"),
    ("params: 1000", "params: many", 11, "params 'many' is impossible"),
    ("params: 2000", "params: 1000", 23, "'tiny-b' (1,000) must be larger than 'tiny-a' (1,000)"),
    ("memory_gb: 1", "memory_gb: 0.000001", 12, "memory_gb 1e-06 is too small"),
    ("ladder: tiny", "ladder: tinny", 9, "no ladder 'tinny' (did you mean 'tiny'?)"),
    ("modality: lm\n    about", "modality: image\n    about", 7, "lm model 'tiny-a' cannot stand on"),
    ("kind: native\n    ladder", "kind: llama\n    ladder", 8, "a native source gives kind 'native', not"),
    ("kind: native\n    ladder", "kind: resnet\n    ladder", 8, "kind 'resnet' is not a kind of lm model"),
    ("kind: native\n      seed", "kind: nativ\n      seed", 14, "source kind 'nativ' is none of native"),
    ("n_heads: 2", "n_heads: 3", 17, "n_heads 3 does not divide d_model 8"),
    ("n_layers: 1", "n_layers: 1, parallel_attn_mlp: true", 17, "boot_native ignores 'parallel_attn_mlp'"),
    ("n_layers: 1", "n_layers: 1, dtype: bfloat16", 17, "boot_native ignores 'dtype'"),
    ("n_layers: 1", "n_layers: 1, d_mpl: 32", 17, "unknown config key 'd_mpl' (did you mean 'd_mlp'?)"),
    ("n_layers: 1", "n_layers: 1, act_fn: gellu", 17, "'gellu'; choose gelu"),
    ("n_layers: 1", "n_layers: 1, normalization_type: Layer", 17, "'Layer'; choose LN, LNPre, RMS"),
    ("n_layers: 1", "n_layers: none", 17, "'n_layers' must be a positive whole number, not 'none'"),
    ("seed: 1", "seed: 1\n      sede: 2", 17, "unknown key 'sede' (did you mean 'seed'?)"),
    ("tier: quick", "tier: quick\n    tier: full", 11, "the key 'tier' stands here and in line 10"),
    ("license: Apache-2.0", "license: [Apache", 14, "not YAML"),
    ("license: Apache-2.0", "license: &a Apache-2.0\n    notes: *a", 14, "aliases (*name) are not read"),
    ("models:", "modells:", 5, "unknown key 'modells' (did you mean 'models'?)"),
    (GOOD[GOOD.index("  - id: tiny-b") :], "", 2, "ladder 'tiny' has 1 model(s); a ladder needs two"),
    ("    about: Two", "    axis: sise\n    about: Two", 4, "axis 'sise'"),
    (*llama("      repo: a/b\n      revision: main\n"), 17, "revision 'main' moves; pin a commit"),
    (*llama("      repo: a/b\n"), 14, "`repo:` and `revision:` belong together"),
    (*llama("      repo: a/b\n      revision: v1\n      seed: 1\n"), 14, "give exactly one of `seed:`"),
    (*llama("      seed: 1\n", LLAMA.replace("llama", "lama")), 17, "(did you mean 'llama'?)"),
    (*llama("      seed: 1\n", LLAMA.replace("llama", "[llama]")), 17, "config needs a `model_type`"),
    (*llama("      seed: 1\n", LLAMA.replace(": 16", ": 1e3")), 17, "must be a number, not '1e3'"),
    (*llama("      seed: 1\n", LLAMA.replace("vocab", "vocap")), 17, "(did you mean 'vocab_size'?)"),
    (*llama("      seed: 1\n", LLAMA.replace("heads: 2", "heads: 3")), 17, "does not divide hidden_size 8"),
]  # fmt: skip


def test_the_example_is_good_until_it_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(GOOD)
    assert [spec.id for spec in load_registry(path)] == ["tiny-a", "tiny-b"]


@pytest.mark.parametrize(("old", "new", "line", "message"), CASES, ids=[case[3][:40] for case in CASES])
def test_one_line_with_file_and_line_number(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    assert old in GOOD
    path = tmp_path / "models.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(RegistryError) as raised:
        load_registry(path)
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(f"models.yaml:{line}: "), text
    assert message in text, text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("architecture: resnet18, pretrained: true", "needs the tag of its weights"),
        ("architecture: resnet18, file: weights.pth", "is no .safetensors file"),
        (
            "architecture: resnet18.a1_in1k, pretrained: true, revision: main",
            "is not a commit of 40 hex digits",
        ),
        ("architecture: resnet18, revision: main", "belongs to `pretrained: true`"),
        (
            "architecture: vit_tiny_patch16_224, args: {embed_dim: 64, num_heads: 3}",
            "does not divide embed_dim 64",
        ),
        ("architecture: resnet18, colour: red", "unknown key 'colour'"),
    ],
)
def test_impossible_image_sources(tmp_path: Path, source: str, message: str) -> None:
    image = GOOD.replace("modality: lm", "modality: image")
    image = image.replace("kind: native\n    ladder", "kind: resnet\n    ladder")
    start, end = image.index("      kind: native"), image.index("  - id: tiny-b")
    row = f"      {{kind: timm, image_size: 64, num_classes: 16, {source}}}\n"
    image = image[:start] + row + image[end:]
    path = tmp_path / "models.yaml"
    path.write_text(image)
    with pytest.raises(RegistryError) as raised:
        load_registry(path)
    assert re.match(r"models.yaml:1[45]: ", str(raised.value))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "- 1", "models: []\nladders: []", "\tx: 1", "ladders: 3\nmodels: 4", "? [a]\n: 1"]
)
def test_files_that_are_no_registry_at_all(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(RegistryError, match=r"^models.yaml:\d+: [^\n]+$"):
        load_registry(path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"^cannot read .*nowhere.yaml: No such file or directory$"):
        load_registry(tmp_path / "nowhere.yaml")


def test_a_binary_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RegistryError, match=r"^models.yaml:1: the file is not UTF-8 text$"):
        load_registry(path)


def test_the_environment_may_name_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    monkeypatch.setenv("INTERP_BENCH_MODELS", str(path))
    assert load_registry().path == path
