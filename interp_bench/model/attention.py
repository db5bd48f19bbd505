"""The softmax of attention, wherever a transformer calls it: read, or given another gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked

PatternEdit = Callable[[int, Tensor, Tensor], Tensor | None]

_SOFTMAX = (functional.softmax, torch.softmax, torch.Tensor.softmax)


class _SoftmaxMode(TorchFunctionMode):
    """Passes every softmax of attention to an edit; knows the block that runs."""

    def __init__(self, edit: PatternEdit) -> None:
        super().__init__()
        self.edit = edit
        self.layer: int | None = None

    def enter(self, layer: int | None, x: Tensor) -> None:
        self.layer = layer

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is functional.scaled_dot_product_attention and self.layer is not None:
            return self._attend(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        if func in _SOFTMAX and self.layer is not None and out.ndim == 4:
            edited = self.edit(self.layer, args[0], out)
            return out if edited is None else edited
        return out

    def _attend(self, *args: Any, **kwargs: Any) -> Tensor:
        """Compute fused attention step by step, so that there is a pattern to edit."""

        def softmax(scores: Tensor, dim: int) -> Tensor:
            assert self.layer is not None
            pattern = torch.softmax(scores, dim)
            edited = self.edit(self.layer, scores, pattern)
            return pattern if edited is None else edited

        attended: Tensor = spelled_attention(torch.matmul, softmax)(*args, **kwargs)
        return attended


def spelled_attention(product: Callable[..., Any], softmax: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule of fused attention that spells it out, in given products and softmax."""

    def rule(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        if enable_gqa:
            repeats = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
        scores = product(query, key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None:
            is_bool = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if is_bool else scores + attn_mask
        return product(softmax(scores, dim=-1), value)

    return rule


@contextmanager
def attention_patterns(model: Model, edit: PatternEdit) -> Iterator[None]:
    """Pass the attention pattern of every block through an edit while the block of code runs.

    Args:
        model: a transformer; fused attention is computed step by step here.
        edit: (layer, scores, pattern) -> pattern, all (batch, n_heads, query, key), or None to leave
            it. Scores are those that the softmax gets, masked ones included.
    """
    mode = _SoftmaxMode(edit)
    inside: list[Any] = []
    for layer, block in enumerate(model.transformer.blocks):
        inside.append((block.norm1, "in", partial(mode.enter, layer)))
        inside.append((block.mlp, "in", partial(mode.enter, None)))
    with hooked(inside), mode:
        yield


def record_patterns(model: Model, inputs: Tensor) -> list[Tensor]:
    """Return the attention pattern (batch, n_heads, query, key) of every block; one forward."""
    found: dict[int, Tensor] = {}

    def keep(layer: int, scores: Tensor, pattern: Tensor) -> None:
        found[layer] = pattern.detach()

    with torch.no_grad(), attention_patterns(model, keep):
        model(inputs)
    return [found[layer] for layer in range(len(model.transformer.blocks))]
