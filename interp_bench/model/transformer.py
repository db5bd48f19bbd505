"""The anatomy of a transformer: one structural view of GPT-2, Llama, NeoX, native and ViT networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from interp_bench.errors import SiteError
from interp_bench.model.projection import Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One transformer block.

    Attributes:
        module: the block itself; maps the residual stream to the residual stream.
        norm1, norm2: the norms that attention and MLP read through.
        query: (d_model, n_heads * d_head).
        key, value: (d_model, n_kv_heads * d_head).
        out: (n_heads * d_head, d_model).
        mlp: the MLP module, called on the output of ``norm2``.
        mlp_in: (d_model, d_mlp), the up projection where the MLP is gated.
        mlp_gate: (d_model, d_mlp) where the MLP is gated, else None.
        mlp_out: (d_mlp, d_model).
    """

    module: nn.Module
    norm1: nn.Module
    norm2: nn.Module
    query: Projection
    key: Projection
    value: Projection
    out: Projection
    mlp: nn.Module
    mlp_in: Projection
    mlp_gate: Projection | None
    mlp_out: Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotary:
    """Which head dimensions rotate together, and how fast.

    Attributes:
        first, second: (n_pairs,) indices into the head dimension.
        frequencies: (n_pairs,) radians per position, float64.
    """

    first: Tensor
    second: Tensor
    frequencies: Tensor

    @property
    def dims(self) -> set[int]:
        """All head dimensions that rotate."""
        return {*self.first.tolist(), *self.second.tolist()}

    def rotation(self, angle: Tensor, d_head: int) -> Tensor:
        """Return the (d_head, d_head) matrix R with ``x @ R`` = x turned by ``angle`` (n_pairs,).

        The sense is that of the network: position ``p`` turns a query or key by ``p * frequencies``.
        """
        out = torch.eye(d_head, dtype=torch.float64)
        cos, sin = torch.cos(angle), torch.sin(angle)
        out[self.first, self.first], out[self.second, self.second] = cos, cos
        out[self.first, self.second], out[self.second, self.first] = sin, -sin
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerAnatomy:
    """Where everything is in one transformer.

    Attributes:
        blocks: the blocks in order of depth.
        embeddings: modules or parameters that write the residual stream before block 0.
        final_norm: the norm that the head reads through.
        head: (d_model, d_vocab or n_classes).
        n_heads, n_kv_heads, d_head, d_model, d_mlp: sizes.
        centered: whether the norms subtract the mean (LayerNorm).
        parallel: whether attention and MLP of a block read the same residual stream.
        causal: whether attention sees only the past.
        rotary: rotary position encoding, or None where positions are learned.
        n_prefix: tokens in front of the patches (class token) of a ViT; 0 for an LM.
        tuples: whether blocks return a tuple, with the residual stream in it, instead of a tensor.
    """

    blocks: tuple[Block, ...]
    token_embedding: nn.Module
    position_embedding: Tensor | None
    class_embedding: Tensor | None
    final_norm: nn.Module
    head: Projection
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_model: int
    d_mlp: int
    centered: bool
    parallel: bool
    causal: bool
    rotary: Rotary | None
    n_prefix: int
    tuples: bool = False

    def kv_head(self, head: int) -> int:
        """Return the key/value head that a query head reads (grouped-query attention)."""
        return head // (self.n_heads // self.n_kv_heads)

    def norm(self, layer: int | None, which: int = 1) -> nn.Module:
        """Return norm 1 or 2 of a layer, or the final norm when ``layer`` is None."""
        if layer is None:
            return self.final_norm
        block = self.blocks[layer]
        return block.norm1 if which == 1 else block.norm2

    def projection(self, layer: int, letter: str, head: int) -> Projection:
        """Return the ``q``, ``k`` or ``v`` projection (d_model, d_head) of one head.

        ``head`` is a query head for ``q`` and a key/value head for ``k`` and ``v``.
        """
        block = self.blocks[layer]
        whole = {"q": block.query, "k": block.key, "v": block.value}[letter]
        return whole.narrow(head * self.d_head, self.d_head)

    def out_rows(self, layer: int, head: int) -> Tensor:
        """Return W_O (d_head, d_model) of one query head, float64."""
        return self.blocks[layer].out.read_rows(head * self.d_head, self.d_head)


def norm_scale(norm: nn.Module, d_model: int) -> Tensor:
    """Return the learned scale (d_model,) of a norm in float64; ones where it has none."""
    weight = getattr(norm, "weight", None)
    if not isinstance(weight, Tensor):
        return torch.ones(d_model, dtype=torch.float64)
    return weight.data.double().cpu()


def norm_shift(norm: nn.Module) -> Tensor | None:
    """Return the learned shift (d_model,) of a norm in float64, or None."""
    bias = getattr(norm, "bias", None)
    return bias.data.double().cpu() if isinstance(bias, Tensor) else None


def find_transformer(module: nn.Module) -> TransformerAnatomy | None:
    """Return the anatomy of a known transformer class, or None for any other network."""
    reader = _READERS.get(type(module).__name__)
    return None if reader is None else reader(module)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where one class of networks keeps its parts: paths below the network, and below a block."""

    blocks: str
    embedding: str
    final_norm: str
    head: str
    norm1: str
    norm2: str
    out: str
    mlp: str
    mlp_in: str
    mlp_out: str
    mlp_gate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """Heads and widths, as each class of networks names them in its own way."""

    n_heads: int
    n_kv_heads: int
    d_head: int
    d_model: int


Split = Callable[[nn.Module, _Sizes], tuple[Projection, Projection, Projection]]


def _assemble(
    network: nn.Module,
    layout: _Layout,
    sizes: _Sizes,
    split: Split,
    *,
    rotary: Rotary | None = None,
    positions: Tensor | None = None,
    class_token: Tensor | None = None,
    parallel: bool = False,
    causal: bool = True,
    n_prefix: int = 0,
    tuples: bool = False,
) -> TransformerAnatomy:
    blocks = tuple(_block(b, layout, sizes, split) for b in network.get_submodule(layout.blocks).children())
    final_norm = network.get_submodule(layout.final_norm)
    return TransformerAnatomy(
        blocks=blocks,
        token_embedding=network.get_submodule(layout.embedding),
        position_embedding=positions,
        class_embedding=class_token,
        final_norm=final_norm,
        head=Projection(network.get_submodule(layout.head)),
        n_heads=sizes.n_heads,
        n_kv_heads=sizes.n_kv_heads,
        d_head=sizes.d_head,
        d_model=sizes.d_model,
        d_mlp=blocks[0].mlp_in.n_columns,
        centered=isinstance(final_norm, nn.LayerNorm),
        parallel=parallel,
        causal=causal,
        rotary=rotary,
        n_prefix=n_prefix,
        tuples=tuples,
    )


def _block(block: nn.Module, layout: _Layout, sizes: _Sizes, split: Split) -> Block:
    query, key, value = split(block, sizes)
    gate = None if layout.mlp_gate is None else Projection(block.get_submodule(layout.mlp_gate))
    return Block(
        module=block,
        norm1=block.get_submodule(layout.norm1),
        norm2=block.get_submodule(layout.norm2),
        query=query,
        key=key,
        value=value,
        out=Projection(block.get_submodule(layout.out)),
        mlp=block.get_submodule(layout.mlp),
        mlp_in=Projection(block.get_submodule(layout.mlp_in)),
        mlp_gate=gate,
        mlp_out=Projection(block.get_submodule(layout.mlp_out)),
    )


def _apart(query: str, key: str, value: str) -> Split:
    """Queries, keys and values have modules of their own."""

    def split(block: nn.Module, sizes: _Sizes) -> tuple[Projection, Projection, Projection]:
        q, k, v = (Projection(block.get_submodule(path)) for path in (query, key, value))
        return q, k, v

    return split


def _fused(path: str, *, by_head: bool = False) -> Split:
    """One module writes all queries, then keys, then values, or these three head by head."""

    def split(block: nn.Module, sizes: _Sizes) -> tuple[Projection, Projection, Projection]:
        module = block.get_submodule(path)
        order = torch.arange(3 * sizes.n_heads * sizes.d_head)
        shape = (sizes.n_heads, 3, sizes.d_head) if by_head else (3, sizes.n_heads, sizes.d_head)
        columns = order.view(shape).transpose(0, 1) if by_head else order.view(shape)
        q, k, v = (Projection(module, part.flatten()) for part in columns)
        return q, k, v

    return split


def _half_split(d_rotary: int, base: float) -> Rotary:
    """Rotary pairs (i, i + d_rotary / 2), as transformers lays them out."""
    half = d_rotary // 2
    exponent = torch.arange(half, dtype=torch.float64) * 2 / d_rotary
    return Rotary(first=torch.arange(half), second=torch.arange(half) + half, frequencies=base**-exponent)


def _adjacent(d_rotary: int, base: float) -> Rotary:
    """Rotary pairs (2i, 2i + 1), as TransformerLens' native model lays them out."""
    even = torch.arange(0, d_rotary, 2)
    return Rotary(first=even, second=even + 1, frequencies=base ** -(even.double() / d_rotary))


def _gpt2(network: nn.Module) -> TransformerAnatomy:
    config: Any = network.config
    layout = _Layout(
        blocks="transformer.h", embedding="transformer.wte", final_norm="transformer.ln_f", head="lm_head",
        norm1="ln_1", norm2="ln_2", out="attn.c_proj", mlp="mlp", mlp_in="mlp.c_fc", mlp_out="mlp.c_proj",
    )  # fmt: skip
    heads, d = config.n_head, config.n_embd
    sizes = _Sizes(n_heads=heads, n_kv_heads=heads, d_head=d // heads, d_model=d)
    positions = network.get_parameter("transformer.wpe.weight")
    return _assemble(network, layout, sizes, _fused("attn.c_attn"), positions=positions)


def _llama(network: nn.Module) -> TransformerAnatomy:
    config: Any = network.config
    layout = _Layout(
        blocks="model.layers", embedding="model.embed_tokens", final_norm="model.norm", head="lm_head",
        norm1="input_layernorm", norm2="post_attention_layernorm", out="self_attn.o_proj", mlp="mlp",
        mlp_in="mlp.up_proj", mlp_gate="mlp.gate_proj", mlp_out="mlp.down_proj",
    )  # fmt: skip
    heads, d = config.num_attention_heads, config.hidden_size
    d_head = getattr(config, "head_dim", None) or d // heads
    sizes = _Sizes(n_heads=heads, n_kv_heads=config.num_key_value_heads, d_head=d_head, d_model=d)
    rotary = _half_split(d_head, config.rope_parameters["rope_theta"])
    split = _apart("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    return _assemble(network, layout, sizes, split, rotary=rotary)


def _neox(network: nn.Module) -> TransformerAnatomy:
    config: Any = network.config
    layout = _Layout(
        blocks="gpt_neox.layers", embedding="gpt_neox.embed_in", final_norm="gpt_neox.final_layer_norm",
        head="lm_head" if hasattr(network, "lm_head") else "embed_out",
        norm1="input_layernorm", norm2="post_attention_layernorm", out="attention.dense", mlp="mlp",
        mlp_in="mlp.dense_h_to_4h", mlp_out="mlp.dense_4h_to_h",
    )  # fmt: skip
    heads, d, rope = config.num_attention_heads, config.hidden_size, config.rope_parameters
    sizes = _Sizes(n_heads=heads, n_kv_heads=heads, d_head=d // heads, d_model=d)
    rotary = _half_split(int(d // heads * rope.get("partial_rotary_factor", 1.0)), rope["rope_theta"])
    split = _fused("attention.query_key_value", by_head=True)
    return _assemble(
        network, layout, sizes, split, rotary=rotary, parallel=bool(config.use_parallel_residual)
    )


def _native(network: nn.Module) -> TransformerAnatomy:
    config: Any = network.cfg
    inside = {"mlp_in": "mlp.fc_in", "mlp_out": "mlp.fc_out"}
    if config.gated_mlp:
        inside = {"mlp_in": "mlp.in", "mlp_gate": "mlp.gate", "mlp_out": "mlp.out"}
    layout = _Layout(
        blocks="layers", embedding="tok_embed", final_norm="ln_out", head="head",
        norm1="ln1", norm2="ln2", out="attn.o", mlp="mlp", **inside,
    )  # fmt: skip
    heads = config.n_heads
    sizes = _Sizes(
        n_heads=heads,
        n_kv_heads=config.n_key_value_heads or heads,
        d_head=config.d_head,
        d_model=config.d_model,
    )
    rotary: Any = network.rotary
    split = _apart("attn.q", "attn.k", "attn.v")
    if rotary is None:
        positions = network.get_parameter("pos.weight")
        return _assemble(network, layout, sizes, split, positions=positions, tuples=True)
    pairs = _adjacent(rotary.rotary_dim, rotary.effective_base)
    return _assemble(network, layout, sizes, split, rotary=pairs, tuples=True)


def _vit(network: Any) -> TransformerAnatomy:
    if network.cls_token is None or getattr(network, "global_pool", "") != "token":
        raise SiteError(
            "this ViT has no class token that its head reads; choose one with global_pool='token'"
        )
    layout = _Layout(
        blocks="blocks", embedding="patch_embed.proj", final_norm="norm", head="head",
        norm1="norm1", norm2="norm2", out="attn.proj", mlp="mlp", mlp_in="mlp.fc1", mlp_out="mlp.fc2",
    )  # fmt: skip
    heads, d = network.blocks[0].attn.num_heads, network.embed_dim
    sizes = _Sizes(n_heads=heads, n_kv_heads=heads, d_head=d // heads, d_model=d)
    return _assemble(
        network,
        layout,
        sizes,
        _fused("attn.qkv"),
        positions=network.pos_embed,
        class_token=network.cls_token,
        causal=False,
        n_prefix=network.num_prefix_tokens,
    )


_READERS: dict[str, Callable[..., TransformerAnatomy]] = {
    "GPT2LMHeadModel": _gpt2,
    "LlamaForCausalLM": _llama,
    "MistralForCausalLM": _llama,
    "Qwen2ForCausalLM": _llama,
    "GPTNeoXForCausalLM": _neox,
    "NativeModel": _native,
    "VisionTransformer": _vit,
}
