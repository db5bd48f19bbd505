"""Other gradients for a network: rules stand in for torch's functions while it runs, it stays the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Any]
Table = Mapping[Any, Rule]

MATMUL = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm)
MUL = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, Tensor.multiply)
DIV = (torch.div, Tensor.div, Tensor.__truediv__, Tensor.true_divide)
SOFTMAX = (functional.softmax, torch.softmax, Tensor.softmax)
GATES = (torch.tanh, Tensor.tanh, torch.sigmoid, Tensor.sigmoid, torch.erf, Tensor.erf, functional.sigmoid)
ROOTS = (torch.rsqrt, Tensor.rsqrt, torch.sqrt, Tensor.sqrt)
ACTIVATIONS = (functional.gelu, functional.silu, functional.mish, functional.hardswish)
RELUS = (functional.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_)


class Rules(TorchFunctionMode):
    """While it is entered, each call of a torch function in the table goes to its rule instead.

    A rule is called with the arguments of the function; torch's functions are its own within it. It
    gives the value of the function, and the gradient that a technique wants (``standing_for``).

    Args:
        table: torch function -> rule.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the rule of a function, or the function itself."""
        return self._table.get(func, func)(*args, **(kwargs or {}))


class _Standing(torch.autograd.Function):
    """The value of one tensor with the gradient of another."""

    @staticmethod
    def forward(ctx: Any, surrogate: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def standing_for(value: Tensor, surrogate: Tensor) -> Tensor:
    """Return ``value``, through which gradients flow as through ``surrogate`` of the same shape."""
    standing: Tensor = _Standing.apply(surrogate.to(value.dtype), value.detach())
    return standing


def live(*operands: Any) -> bool:
    """Return whether all operands are tensors that a gradient flows to."""
    return all(isinstance(operand, Tensor) and operand.requires_grad for operand in operands)


def stabilised(values: Tensor, epsilon: float) -> Tensor:
    """Move values away from 0 by ``epsilon``, 0 itself upwards."""
    return values + torch.where(values >= 0, epsilon, -epsilon).to(values.dtype)
