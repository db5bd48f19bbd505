"""Rules of layer-wise relevance propagation, written as gradients: relevance is input times gradient.

A layer whose output z holds the relevance R(z) = z * g gives its inputs x * (dz/dx) g under the epsilon
rule; other rules are the epsilon rule of a changed layer, scaled to the relevance that came in.
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
    ROOTS,
    Rule,
    Table,
    live,
    stabilised,
    standing_for,
)

_LEAST = 1e-9  # keeps a value off 0 where it is divided by and may be anything


def relevance_rules(*, epsilon: float, gamma: float = 0.0) -> Table:
    """Return rules for every function that the networks here are made of.

    Linear layers: epsilon or gamma rule (Bach et al. 2015; Montavon et al. 2019). Products of two
    signals: half to each (Achtibat et al. 2024, proposition 3.3). Softmax: its own gradient, which is the
    rule of their proposition 3.1. Norms: their scale counts as a constant (proposition 3.4). Activations:
    relevance passes unchanged.

    Args:
        epsilon: keeps denominators of linear layers off 0.
        gamma: how far positive contributions to linear layers are favoured.
    """
    linear = linear_rule(functional.linear, epsilon, gamma)
    product, multiply = _halves(torch.matmul), _halves(torch.mul)
    return {
        functional.linear: linear,
        torch.addmm: lambda bias, x, weight: linear(x, weight.T, bias),
        functional.layer_norm: _layer_norm,
        functional.scaled_dot_product_attention: spelled_attention(product, torch.softmax),
        **dict.fromkeys(MATMUL, product),
        **dict.fromkeys(MUL, multiply),
        **dict.fromkeys(DIV, _divide),
        **{function: _constant(function) for function in (*GATES, *ROOTS)},
        **{function: _pass(function) for function in ACTIVATIONS},
    }


def linear_rule(run: Rule, epsilon: float, gamma: float) -> Rule:
    """Return the rule of a layer ``run(x, weight, bias, ...)`` that is linear in x.

    With gamma > 0 inputs of either sign are taken: a positive output goes to the contributions that
    are positive, all the more with gamma, a negative output to the negative ones.
    """

    def rule(x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        value: Tensor = run(x, weight, bias, *args, **kwargs)
        if not live(x):
            return value
        if gamma == 0:
            return standing_for(value, share(value, value, epsilon))
        up, down = x.clamp_min(0), x.clamp_max(0)
        raised, lowered = weight + gamma * weight.clamp_min(0), weight + gamma * weight.clamp_max(0)
        constant = None if bias is None else bias + gamma * bias.clamp_min(0)
        sunk = None if bias is None else bias + gamma * bias.clamp_max(0)
        positive = run(up, raised, constant, *args, **kwargs) + run(down, lowered, None, *args, **kwargs)
        negative = run(up, lowered, sunk, *args, **kwargs) + run(down, raised, None, *args, **kwargs)
        chosen = torch.where(value > 0, share(positive, value, epsilon), share(negative, value, epsilon))
        return standing_for(value, chosen)

    return rule


def share(signal: Tensor, value: Tensor, epsilon: float) -> Tensor:
    """Scale a signal so that the relevance of ``value`` goes along its contributions."""
    return signal * (value / stabilised(signal, epsilon)).detach()


def _halves(run: Rule) -> Rule:
    """A product of two signals gives half of its relevance to each; a constant factor takes none."""

    def rule(a: Any, b: Any, *args: Any, **kwargs: Any) -> Tensor:
        value: Tensor = run(a, b, *args, **kwargs)
        if not live(a, b):
            return value
        return standing_for(value, (run(a, b.detach()) + run(a.detach(), b)) / 2)

    return rule


def _divide(a: Any, b: Any, **kwargs: Any) -> Tensor:
    """What is divided takes all relevance."""
    return torch.div(a, b.detach() if isinstance(b, Tensor) else b, **kwargs)


def _constant(function: Rule) -> Rule:
    """A gate, or the scale of a norm, counts as a constant: what it multiplies takes all relevance."""
    return lambda x, *args, **kwargs: function(x, *args, **kwargs).detach()


def _pass(function: Rule) -> Rule:
    """An activation passes relevance on unchanged."""

    def rule(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("inplace", None)
        value = function(x, *args, **kwargs)
        return standing_for(value, share(x, value, _LEAST)) if live(x) else value

    return rule


def _layer_norm(
    x: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    value = functional.layer_norm(x, normalized_shape, weight, bias, eps)
    axes = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    scaled = centred * (centred.square().mean(axes, keepdim=True) + eps).rsqrt().detach()
    return standing_for(value, scaled if weight is None else scaled * weight)
