"""Where a model's weights come from: one pydantic model a source kind, checked without importing torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interp_bench.errors import near_name, shortened

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)

NATIVE_KEYS = frozenset(
    {
        "d_model", "d_head", "n_heads", "n_layers", "n_ctx", "d_mlp", "d_vocab", "d_vocab_out",
        "act_fn", "eps", "normalization_type", "final_rms", "gated_mlp", "attn_only",
        "n_key_value_heads", "attention_dir", "use_attn_scale", "attn_scale", "init_mode",
        "initializer_range", "positional_embedding_type", "rotary_dim", "rotary_base", "rope_scaling",
        "attn_scores_soft_cap", "output_logits_soft_cap",
    }
)  # fmt: skip
"""The keys of a TransformerBridgeConfig that ``boot_native`` obeys (transformer-lens 4.3)."""

NATIVE_IGNORED = {
    "parallel_attn_mlp": "its blocks are always serial",
    "dtype": "the dtype is chosen when the model is opened",
    "seed": "put it beside `config:`",
    "use_attn_result": "it has no such hook",
    "use_split_qkv_input": "it has no such hook",
    "use_attn_in": "it has no such hook",
    "use_hook_mlp_in": "it has no such hook",
    "tie_word_embeddings": "its embedding and head are separate",
    "use_qk_norm": "it has no such norm",
    "use_local_attn": "its attention is always global",
    "window_size": "its attention is always global",
    "post_embedding_ln": "it has no such norm",
    "num_experts": "it has no experts",
    "scale_attn_by_inverse_layer_idx": "its scale is the same in all layers",
}
"""Keys that ``boot_native`` takes and drops in silence, with what holds instead."""

NATIVE_ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "solu", "solu_ln", "swish")

_SHARED_CONFIG = frozenset({"model_type", "vocab_size", "tie_word_embeddings", "initializer_range"})
_GATED_CONFIG = _SHARED_CONFIG | {
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "attention_bias",
}  # fmt: skip
TRANSFORMERS_KEYS: dict[str, frozenset[str]] = {
    "llama": _GATED_CONFIG,
    "qwen2": _GATED_CONFIG - {"attention_bias", "head_dim"},
    "gpt2": _SHARED_CONFIG
    | {"n_embd", "n_layer", "n_head", "n_positions", "n_inner", "activation_function", "layer_norm_epsilon"},
    "gpt_neox": _SHARED_CONFIG
    | {
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act",
        "max_position_embeddings", "layer_norm_eps", "rotary_pct", "rotary_emb_base", "use_parallel_residual",
    },
}  # fmt: skip
"""The ``config:`` keys read for each ``model_type``."""

_TEXT_KEYS = frozenset({"model_type", "hidden_act", "activation_function"})
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOVING = frozenset({"main", "master", "head", "latest"})


class Misplaced(ValueError):
    """An impossible value, with the path of the key that is to blame.

    Attributes:
        path: keys from the checked model down to the one to blame.
    """

    def __init__(self, message: str, *path: str) -> None:
        """Take the one-line message and the path."""
        super().__init__(message)
        self.path = path


class NativeSource(BaseModel):
    """A small random language model built by TransformerLens ``boot_native``, from a config and a seed."""

    model_config = STRICT
    kind: Literal["native"]
    config: dict[str, Any]
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _config_is_obeyed(self) -> NativeSource:
        for key in self.config:
            if key in NATIVE_IGNORED:
                raise Misplaced(
                    f"boot_native ignores {key!r}: {NATIVE_IGNORED[key]}; take it out", "config", key
                )
            if key not in NATIVE_KEYS:
                raise Misplaced(
                    f"unknown config key {shortened(key)}{near_name(key, NATIVE_KEYS)}", "config", key
                )
        _need_positive(self.config, ("d_model", "d_head", "n_heads", "n_layers", "n_ctx", "d_vocab"))
        if "d_mlp" in self.config:
            _need_positive(self.config, ("d_mlp",))
        _one_of(self.config, "act_fn", NATIVE_ACTIVATIONS)
        _one_of(self.config, "normalization_type", ("LN", "LNPre", "RMS", "RMSPre"))
        _one_of(self.config, "positional_embedding_type", ("standard", "rotary"))
        _heads_divide(self.config, width="d_model", heads="n_heads", kv="n_key_value_heads")
        if self.config["n_heads"] * self.config["d_head"] != self.config["d_model"]:
            raise Misplaced("n_heads x d_head must equal d_model", "config", "d_model")
        return self


class TimmSource(BaseModel):
    """An image model of timm: random from a seed, pretrained from the hub, or from a local file.

    Attributes:
        architecture: a timm name, with its weights' tag when pretrained (``resnet18.a1_in1k``).
        pretrained: whether published weights are meant.
        revision: commit of the weights' hub repository.
        file: safetensors file on this machine that holds the weights.
        args: further keyword arguments of ``timm.create_model`` (``dims``, ``depth``, ``embed_dim``).
        image_size: height and width of the square input, in pixels.
        num_classes: width of the classifier.
        seed: seed of the random weights; 0 and unused when pretrained.
    """

    model_config = STRICT
    kind: Literal["timm"]
    architecture: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$")
    pretrained: bool = False
    revision: str | None = None
    file: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    image_size: int = Field(ge=16, le=1024)
    num_classes: int = Field(ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _weights_are_named(self) -> TimmSource:
        if self.revision is not None and not self.pretrained:
            raise Misplaced("`revision:` belongs to `pretrained: true`; set it or take it out", "revision")
        if self.revision is not None and not _COMMIT.fullmatch(self.revision):
            raise Misplaced(
                f"revision {shortened(self.revision)} is not a commit of 40 hex digits", "revision"
            )
        if self.pretrained and self.file:
            raise Misplaced("give either `pretrained: true` or `file:`, not both", "file")
        if self.file and not self.file.endswith(".safetensors"):
            raise Misplaced(
                f"file {shortened(self.file)} is no .safetensors file; no other kind is read", "file"
            )
        if self.pretrained and "." not in self.architecture:
            raise Misplaced(
                f"pretrained {self.architecture!r} needs the tag of its weights, as in 'resnet18.a1_in1k'",
                "architecture",
            )
        heads, width = self.args.get("num_heads"), self.args.get("embed_dim")
        if isinstance(heads, int) and isinstance(width, int) and (heads <= 0 or width % heads):
            raise Misplaced(f"num_heads {heads} does not divide embed_dim {width}", "args", "num_heads")
        return self


class TransformersSource(BaseModel):
    """A language model of transformers: random from ``config`` and ``seed``, a hub repository, or a folder.

    Attributes:
        config: shape of the network, with ``model_type``; also what the parameters are counted from.
        seed: seed of random weights; absent for published ones.
        repo: hub repository, ``owner/name``.
        revision: commit of 40 hex digits, or a named tag or branch that does not move.
        directory: folder on this machine with config.json and safetensors.
    """

    model_config = STRICT
    kind: Literal["transformers"]
    config: dict[str, Any]
    seed: int | None = Field(default=None, ge=0)
    repo: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = None
    directory: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> TransformersSource:
        given = [name for name in ("seed", "repo", "directory") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{name}:`" for name in given) or "none"
            raise ValueError(f"give exactly one of `seed:`, `repo:` and `directory:` (found {found})")
        if (self.repo is None) != (self.revision is None):
            raise ValueError("`repo:` and `revision:` belong together")
        if self.revision is not None and self.revision.lower() in _MOVING:
            raise Misplaced(
                f"revision {shortened(self.revision)} moves; pin a commit of 40 hex digits or a fixed tag",
                "revision",
            )
        check_transformers_config(self.config)
        return self


class GgufSource(BaseModel):
    """Quantised weights inside a Python package, converted once to safetensors in the cache.

    Attributes:
        package: name of the package.
        version: its exact version.
        file: name of the GGUF file inside the package.
        sha256: digest of that file.
        config: shape of the network, as in :class:`TransformersSource`, to count parameters offline.
    """

    model_config = STRICT
    kind: Literal["gguf"]
    package: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[0-9][A-Za-z0-9.!+_-]*$")
    file: str = Field(pattern=r"^[\w.-]+\.gguf$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    config: dict[str, Any]

    @model_validator(mode="after")
    def _config_is_read(self) -> GgufSource:
        check_transformers_config(self.config)
        return self


Source = Annotated[
    NativeSource | TimmSource | TransformersSource | GgufSource,
    Field(discriminator="kind"),
]
SOURCE_KINDS: dict[str, type[BaseModel]] = {
    "native": NativeSource,
    "timm": TimmSource,
    "transformers": TransformersSource,
    "gguf": GgufSource,
}


def check_transformers_config(config: dict[str, Any]) -> None:
    """Refuse a ``config:`` whose model type, keys or head counts are impossible.

    Raises:
        ValueError: with one line for the user.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in TRANSFORMERS_KEYS:
        known, near = ", ".join(sorted(TRANSFORMERS_KEYS)), near_name(str(model_type), TRANSFORMERS_KEYS)
        raise Misplaced(
            f"config needs a `model_type` of {known}, not {shortened(model_type)}{near}",
            "config",
            "model_type",
        )
    allowed = TRANSFORMERS_KEYS[model_type]
    for key in config:
        if key not in allowed:
            raise Misplaced(
                f"unknown {model_type} config key {shortened(key)}{near_name(key, allowed)}", "config", key
            )
        if isinstance(config[key], str) and key not in _TEXT_KEYS:
            raise Misplaced(
                f"config key {key!r} must be a number, not {shortened(config[key])}", "config", key
            )
    if model_type == "gpt2":
        _need_positive(config, ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"))
        _heads_divide(config, width="n_embd", heads="n_head", kv=None)
        return
    _need_positive(
        config,
        ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    )
    _heads_divide(config, width="hidden_size", heads="num_attention_heads", kv="num_key_value_heads")


def _need_positive(config: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in config:
            raise Misplaced(f"config needs the key {key!r}", "config")
        value = config[key]
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise Misplaced(
                f"config key {key!r} must be a positive whole number, not {shortened(value)}", "config", key
            )


def _one_of(config: dict[str, Any], key: str, allowed: tuple[str, ...]) -> None:
    value = config.get(key)
    if value is not None and value not in allowed:
        hint = near_name(str(value), allowed)
        choices = ", ".join(allowed)
        raise Misplaced(
            f"config key {key!r} cannot be {shortened(value)}; choose {choices}{hint}", "config", key
        )


def _heads_divide(config: dict[str, Any], *, width: str, heads: str, kv: str | None) -> None:
    if config[width] % config[heads] and "head_dim" not in config:
        raise Misplaced(f"{heads} {config[heads]} does not divide {width} {config[width]}", "config", heads)
    groups = config.get(kv) if kv else None
    if groups is not None and (not isinstance(groups, int) or groups <= 0 or config[heads] % groups):
        raise Misplaced(f"{kv} {groups} does not divide {heads} {config[heads]}", "config", str(kv))
