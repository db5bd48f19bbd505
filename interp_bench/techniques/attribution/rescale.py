"""DeepLIFT's rescale rule, written as gradients: slopes between the input and the reference.

Tensors hold the inputs in the first half of the batch and their references in the second. A function of
one number gets the slope between the two; a product of two signals the mean of either factor; norms and
attention are spelled out in these, and softmax has a rule of its own. So every step is exact: the
multipliers times the differences at the input add up to the difference of the output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from interp_bench.model.attention import spelled_attention
from interp_bench.techniques.attribution.rules import (
    ACTIVATIONS,
    DIV,
    GATES,
    MATMUL,
    MUL,
    RELUS,
    ROOTS,
    SOFTMAX,
    Rule,
    Table,
    live,
    standing_for,
)

_LEAST = 1e-6  # a smaller difference gets the slope at the point; captum's is 1e-10
_SMOOTH = (torch.exp, Tensor.exp, torch.pow, Tensor.pow, Tensor.__pow__, torch.square, Tensor.square)
_OTHERS = (functional.elu, functional.leaky_relu, functional.softplus)


def rescale_rules() -> Table:
    """Return rules for every function that the networks here are made of."""
    curves = (*RELUS, *ACTIVATIONS, *GATES, *ROOTS, *_SMOOTH, *_OTHERS)
    return {
        **{function: _slope(_not_in_place(function)) for function in curves},
        **dict.fromkeys(MATMUL, _product),
        **dict.fromkeys(MUL, _multiply),
        **dict.fromkeys(DIV, _divide),
        **dict.fromkeys(SOFTMAX, _softmax),
        functional.scaled_dot_product_attention: spelled_attention(_product, _softmax),
        functional.layer_norm: _layer_norm,
        functional.max_pool2d: _max_pool,
    }


def _not_in_place(function: Rule) -> Rule:
    return {torch.relu_: torch.relu, Tensor.relu_: torch.relu}.get(function, function)


def _slope(function: Rule) -> Rule:
    """A function of one number passes on the slope between input and reference."""

    def rule(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("inplace", None)
        if not live(x):
            value: Tensor = function(x, *args, **kwargs)
            return value
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            value = function(point, *args, **kwargs)
            (tangent,) = torch.autograd.grad(value.sum(), point)
        rise, run = _difference(value.detach()), _difference(x.detach())
        steep = torch.where(run.abs() > _LEAST, rise / run, tangent)
        return standing_for(value, torch.where(steep == 0, 0, x) * steep)

    return rule


def _difference(values: Tensor) -> Tensor:
    """Return input minus reference, in both halves; not a number where both are infinite."""
    value, reference = values.chunk(2)
    return (value - reference).repeat(2, *[1] * (values.ndim - 1))


def _middle(values: Tensor) -> Tensor:
    """Return the mean of input and reference, in both halves, without gradient."""
    value, reference = values.detach().chunk(2)
    return ((value + reference) / 2).repeat(2, *[1] * (values.ndim - 1))


def _between(run: Rule) -> Rule:
    """A product of two signals: the difference of each, times the mean of the other."""

    def rule(a: Any, b: Any, *args: Any, **kwargs: Any) -> Tensor:
        value: Tensor = run(a, b, *args, **kwargs)
        if not live(a, b):
            return value
        return standing_for(value, run(a, _middle(b)) + run(_middle(a), b))

    return rule


_product, _multiply = _between(torch.matmul), _between(torch.mul)
_square, _root, _reciprocal = _slope(torch.square), _slope(torch.rsqrt), _slope(torch.reciprocal)


def _divide(a: Any, b: Any, **kwargs: Any) -> Tensor:
    return _multiply(a, _reciprocal(b)) if live(b) else torch.div(a, b, **kwargs)


def _softmax(scores: Tensor, dim: int = -1, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    """Softmax, exactly: its Jacobian diag(s) - s s' with the logarithmic mean of s and its reference for s.

    With m = ds / dlog(s) and log(s) = x - logsumexp(x), all ds add up to 0, so that logsumexp changes by
    sum(m dx) / sum(m).
    """
    scores = scores if dtype is None else scores.to(dtype)
    value = torch.softmax(scores, dim)
    if not live(scores):
        return value
    rise = _difference(value.detach())
    run = _difference(torch.log_softmax(scores.detach(), dim))
    mean = torch.where(run.abs() > _LEAST, rise / run, value.detach())
    signal = mean * scores
    return standing_for(value, signal - mean * (signal.sum(dim, keepdim=True) / mean.sum(dim, keepdim=True)))


def _layer_norm(
    x: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    if not live(x):
        return functional.layer_norm(x, normalized_shape, weight, bias, eps)
    axes = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    scale = _root(_square(centred).mean(axes, keepdim=True) + eps)
    normed: Tensor = _multiply(centred, scale)
    normed = normed if weight is None else normed * weight
    return normed if bias is None else normed + bias


class _PoolRescale(torch.autograd.Function):
    """Max pooling whose gradient goes to the largest of the input and the largest of the reference."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, arguments: tuple[Any, ...]) -> Tensor:
        size, stride, padding, dilation, ceil = arguments
        out, places = functional.max_pool2d_with_indices(x, size, stride, padding, dilation, ceil)
        ctx.save_for_backward(x, out, places)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, out, places = ctx.saved_tensors
        (high, low), run = out.chunk(2), _difference(x)
        larger = torch.maximum(high, low)
        owed = gradient * torch.cat([larger - low, high - larger])
        spread = torch.zeros_like(x).flatten(2).scatter_add_(2, places.flatten(2), owed.flatten(2))
        both = spread.view_as(x).chunk(2)
        share = (both[0] + both[1]).repeat(2, *[1] * (x.ndim - 1))
        return torch.where(run.abs() > _LEAST, share / run, 0), None


def _max_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Pool as captum's DeepLift does: what the output gained goes to where its maximum is and was."""
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    pooled: Tensor = _PoolRescale.apply(x, arguments)
    return pooled
