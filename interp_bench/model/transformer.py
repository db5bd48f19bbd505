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


def _half_split(d_rotary: int, base: float) -> Rotary:
    """Rotary pairs (i, i + d_rotary / 2), as transformers lays them out."""
    half = d_rotary // 2
    exponent = torch.arange(half, dtype=torch.float64) * 2 / d_rotary
    return Rotary(first=torch.arange(half), second=torch.arange(half) + half, frequencies=base**-exponent)


def _adjacent(d_rotary: int, base: float) -> Rotary:
    """Rotary pairs (2i, 2i + 1), as TransformerLens' native model lays them out."""
    even = torch.arange(0, d_rotary, 2)
    return Rotary(first=even, second=even + 1, frequencies=base ** -(even.double() / d_rotary))


def _gpt2(module: Any) -> TransformerAnatomy:
    config, body = module.config, module.transformer
    d = config.n_embd
    blocks = tuple(
        Block(
            module=b,
            norm1=b.ln_1,
            norm2=b.ln_2,
            query=Projection(b.attn.c_attn, torch.arange(d)),
            key=Projection(b.attn.c_attn, torch.arange(d) + d),
            value=Projection(b.attn.c_attn, torch.arange(d) + 2 * d),
            out=Projection(b.attn.c_proj),
            mlp=b.mlp,
            mlp_in=Projection(b.mlp.c_fc),
            mlp_gate=None,
            mlp_out=Projection(b.mlp.c_proj),
        )
        for b in body.h
    )
    return TransformerAnatomy(
        blocks=blocks,
        token_embedding=body.wte,
        position_embedding=body.wpe.weight,
        class_embedding=None,
        final_norm=body.ln_f,
        head=Projection(module.lm_head),
        n_heads=config.n_head,
        n_kv_heads=config.n_head,
        d_head=d // config.n_head,
        d_model=d,
        d_mlp=blocks[0].mlp_in.n_columns,
        centered=True,
        parallel=False,
        causal=True,
        rotary=None,
        n_prefix=0,
    )


def _llama(module: Any) -> TransformerAnatomy:
    config, body = module.config, module.model
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    blocks = tuple(
        Block(
            module=b,
            norm1=b.input_layernorm,
            norm2=b.post_attention_layernorm,
            query=Projection(b.self_attn.q_proj),
            key=Projection(b.self_attn.k_proj),
            value=Projection(b.self_attn.v_proj),
            out=Projection(b.self_attn.o_proj),
            mlp=b.mlp,
            mlp_in=Projection(b.mlp.up_proj),
            mlp_gate=Projection(b.mlp.gate_proj),
            mlp_out=Projection(b.mlp.down_proj),
        )
        for b in body.layers
    )
    return TransformerAnatomy(
        blocks=blocks,
        token_embedding=body.embed_tokens,
        position_embedding=None,
        class_embedding=None,
        final_norm=body.norm,
        head=Projection(module.lm_head),
        n_heads=config.num_attention_heads,
        n_kv_heads=config.num_key_value_heads,
        d_head=d_head,
        d_model=config.hidden_size,
        d_mlp=blocks[0].mlp_in.n_columns,
        centered=False,
        parallel=False,
        causal=True,
        rotary=_half_split(d_head, config.rope_parameters["rope_theta"]),
        n_prefix=0,
    )


def _neox(module: Any) -> TransformerAnatomy:
    config, body = module.config, module.gpt_neox
    heads, d = config.num_attention_heads, config.hidden_size
    d_head = d // heads
    start = torch.arange(heads)[:, None] * 3 * d_head + torch.arange(d_head)
    blocks = tuple(
        Block(
            module=b,
            norm1=b.input_layernorm,
            norm2=b.post_attention_layernorm,
            query=Projection(b.attention.query_key_value, start.flatten()),
            key=Projection(b.attention.query_key_value, (start + d_head).flatten()),
            value=Projection(b.attention.query_key_value, (start + 2 * d_head).flatten()),
            out=Projection(b.attention.dense),
            mlp=b.mlp,
            mlp_in=Projection(b.mlp.dense_h_to_4h),
            mlp_gate=None,
            mlp_out=Projection(b.mlp.dense_4h_to_h),
        )
        for b in body.layers
    )
    rope = config.rope_parameters
    return TransformerAnatomy(
        blocks=blocks,
        token_embedding=body.embed_in,
        position_embedding=None,
        class_embedding=None,
        final_norm=body.final_layer_norm,
        head=Projection(module.lm_head if hasattr(module, "lm_head") else module.embed_out),
        n_heads=heads,
        n_kv_heads=heads,
        d_head=d_head,
        d_model=d,
        d_mlp=blocks[0].mlp_in.n_columns,
        centered=True,
        parallel=bool(config.use_parallel_residual),
        causal=True,
        rotary=_half_split(int(d_head * rope.get("partial_rotary_factor", 1.0)), rope["rope_theta"]),
        n_prefix=0,
    )


def _native(module: Any) -> TransformerAnatomy:
    config = module.cfg
    gated = hasattr(module.layers[0].mlp, "gate")
    blocks = tuple(
        Block(
            module=b,
            norm1=b.ln1,
            norm2=b.ln2,
            query=Projection(b.attn.q),
            key=Projection(b.attn.k),
            value=Projection(b.attn.v),
            out=Projection(b.attn.o),
            mlp=b.mlp,
            mlp_in=Projection(getattr(b.mlp, "in") if gated else b.mlp.fc_in),
            mlp_gate=Projection(b.mlp.gate) if gated else None,
            mlp_out=Projection(b.mlp.out if gated else b.mlp.fc_out),
        )
        for b in module.layers
    )
    rotary = module.layers[0].attn.rotary
    return TransformerAnatomy(
        blocks=blocks,
        token_embedding=module.tok_embed,
        position_embedding=None if rotary is not None else module.pos.weight,
        class_embedding=None,
        final_norm=module.ln_out,
        head=Projection(module.head),
        n_heads=config.n_heads,
        n_kv_heads=config.n_key_value_heads or config.n_heads,
        d_head=config.d_head,
        d_model=config.d_model,
        d_mlp=blocks[0].mlp_in.n_columns,
        centered=isinstance(module.ln_out, nn.LayerNorm),
        parallel=False,
        causal=True,
        rotary=None if rotary is None else _adjacent(rotary.rotary_dim, rotary.effective_base),
        n_prefix=0,
    )


def _vit(module: Any) -> TransformerAnatomy:
    if module.cls_token is None or getattr(module, "global_pool", "") != "token":
        raise SiteError(
            "this ViT has no class token that its head reads; choose one with global_pool='token'"
        )
    d, heads = module.embed_dim, module.blocks[0].attn.num_heads
    blocks = tuple(
        Block(
            module=b,
            norm1=b.norm1,
            norm2=b.norm2,
            query=Projection(b.attn.qkv, torch.arange(d)),
            key=Projection(b.attn.qkv, torch.arange(d) + d),
            value=Projection(b.attn.qkv, torch.arange(d) + 2 * d),
            out=Projection(b.attn.proj),
            mlp=b.mlp,
            mlp_in=Projection(b.mlp.fc1),
            mlp_gate=None,
            mlp_out=Projection(b.mlp.fc2),
        )
        for b in module.blocks
    )
    return TransformerAnatomy(
        blocks=blocks,
        token_embedding=module.patch_embed.proj,
        position_embedding=module.pos_embed,
        class_embedding=module.cls_token,
        final_norm=module.norm,
        head=Projection(module.head),
        n_heads=heads,
        n_kv_heads=heads,
        d_head=d // heads,
        d_model=d,
        d_mlp=blocks[0].mlp_in.n_columns,
        centered=True,
        parallel=False,
        causal=False,
        rotary=None,
        n_prefix=module.num_prefix_tokens,
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
