"""Other ways for gradients to pass a network that computes what it always does.

Each rule is a context manager; the values of a forward inside it are unchanged, and only the backward
through that forward differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked
from interp_bench.model.transformer import Block, TransformerAnatomy

_ACTIVATIONS = (nn.GELU, nn.SiLU, nn.ReLU)


@contextmanager
def frozen_norms(model: Model) -> Iterator[None]:
    """Take the scale of every LayerNorm and RMSNorm for a constant in the backward.

    What is left is linear in the input: it is centred (LayerNorm), scaled and multiplied by weights.
    """
    with ExitStack() as stack:
        for module in model.module.modules():
            if isinstance(module, nn.LayerNorm) or "RMSNorm" in type(module).__name__:
                _replace_forward(stack, module, partial(_frozen_norm, module))
        yield


def _frozen_norm(module: Any, x: Tensor) -> Tensor:
    dim = 1 if "2d" in type(module).__name__ else -1
    wide = x.float() if x.element_size() < 4 else x
    centred = wide - wide.mean(dim, keepdim=True) if isinstance(module, nn.LayerNorm) else wide
    eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
    scale = (centred.pow(2).mean(dim, keepdim=True) + eps).sqrt().detach()
    out = (centred / scale).to(x.dtype)
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    shape = (-1, 1, 1) if dim == 1 else (-1,)
    out = out if weight is None else out * weight.view(shape)
    result: Tensor = out if bias is None else out + bias.view(shape)
    return result


def _replace_forward(stack: ExitStack, module: nn.Module, forward: Callable[..., Tensor]) -> None:
    before = module.__dict__.get("forward")
    if before is not None:  # somebody else's: nothing is known of what it computes
        return
    module.forward = forward
    stack.callback(delattr, module, "forward")


def ratio(out: Tensor, x: Tensor) -> Tensor:
    """Return ``out / x`` without gradient, zero where x is nearly zero."""
    small = x.abs() < 1e-6
    return torch.where(small, torch.zeros_like(out), out / torch.where(small, torch.ones_like(x), x)).detach()


def _with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    return value.detach() + surrogate - surrogate.detach()


@contextmanager
def linear_activations(model: Model) -> Iterator[None]:
    """Take each activation function for its ratio of output to input, a constant in the backward.

    In a gated MLP both factors of the product get half of the gradient (the half rule), the gate by
    its own ratio. In a CNN every GELU, SiLU and ReLU module follows the rule.
    """
    with ExitStack() as stack:
        if isinstance(model.anatomy, TransformerAnatomy):
            edits = [edit for block in model.anatomy.blocks for edit in _linear_mlp(block)]
            stack.enter_context(hooked(edits))
        else:
            for module in model.module.modules():
                if isinstance(module, _ACTIVATIONS):
                    _replace_forward(stack, module, partial(_linear_activation, type(module), module))
        yield


def _linear_activation(kind: type[nn.Module], module: nn.Module, x: Tensor) -> Tensor:
    value: Tensor = kind.forward(module, x.detach().clone())  # cloned: some work in place
    return _with_gradient_of(value, x * ratio(value, x))


def _linear_mlp(block: Block) -> list[Any]:
    """Return hooks that give what goes into the output weights of an MLP a gradient of its own."""
    read: dict[int, Tensor] = {}
    factors = [block.mlp_in] if block.mlp_gate is None else [block.mlp_in, block.mlp_gate]

    def linear(hidden: Tensor) -> Tensor:
        terms = [x * ratio(hidden, x) for x in read.values()]
        return _with_gradient_of(hidden, torch.stack(terms).mean(0))

    edits: list[Any] = [(f.module, "out", partial(read.__setitem__, i)) for i, f in enumerate(factors)]
    return [*edits, (block.mlp_out.module, "in", linear)]


@contextmanager
def scaled_gradients(model: Model, factor: float) -> Iterator[None]:
    """Multiply gradients that enter attention and gated MLPs, each a product of two factors, by this."""
    scale = partial(_scaled, factor)
    edits: list[Any] = []
    for block in model.transformer.blocks:
        edits.append((block.out.module, "in", scale))
        if block.mlp_gate is not None:
            edits.append((block.mlp_out.module, "in", scale))
    with hooked(edits):
        yield


def _scaled(factor: float, x: Tensor) -> Tensor:
    return _with_gradient_of(x, x * factor)
