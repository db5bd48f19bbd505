"""Negative controls: the weights that a network gets for a while."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from interp_bench.harness.checksums import weights

_NUMBER = re.compile(r"\d+")


def copied(module: nn.Module) -> dict[str, Tensor]:
    """Return every parameter and buffer, copied to the memory of the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in weights(module)}


def fits(saved: Mapping[str, Tensor], module: nn.Module) -> bool:
    """Return whether a network has just these parameters and buffers, by name, shape and dtype."""
    now = dict(weights(module))
    return saved.keys() == now.keys() and all(
        saved[name].shape == tensor.shape and saved[name].dtype == tensor.dtype
        for name, tensor in now.items()
    )


def put(saved: Mapping[str, Tensor], module: nn.Module) -> None:
    """Write saved values into the parameters and buffers of these names and shapes."""
    with torch.no_grad():
        for name, tensor in weights(module):
            if name in saved and saved[name].shape == tensor.shape:
                tensor.copy_(saved[name])


@contextmanager
def shown(module: nn.Module, change: Callable[[], None]) -> Iterator[None]:
    """Give a network other weights while the block runs, and its own back after it, whatever happens.

    Args:
        module: the planted network.
        change: gives it the others, in place.
    """
    own = copied(module)
    try:
        change()
        yield
    finally:
        put(own, module)


def permute(module: nn.Module, pristine: Mapping[str, Tensor], generator: Generator) -> None:
    """Permute the elements of all parameters, biases and gains of norms among them (Adebayo et al. 2018).

    Tensors of one role, which are those of equal shape whose names differ in numbers only, are
    permuted together: within each of them, its norm would still tell in which layers the plant is.
    Where a role occurs once it gets its elements from before planting, for the same reason. Vectors of
    one module go together, so that gain, bias, running mean and running variance of a batch norm still
    belong to the same channel. Other buffers (masks, tables of positions) are no weights, and stay.

    Args:
        module: the planted network, changed in place.
        pristine: its weights from before planting.
        generator: source of randomness, on the CPU.
    """
    roles: dict[tuple[str, str, torch.Size], list[tuple[str, Tensor]]] = {}
    for name, tensor in _trained(module):
        stem, _, leaf = _NUMBER.sub("#", name).rpartition(".")
        roles.setdefault((stem, leaf, tensor.shape), []).append((name, tensor))
    orders: dict[tuple[str, int], Tensor] = {}
    for (stem, _, shape), group in roles.items():
        values = [tensor if len(group) > 1 else pristine[name].to(tensor) for name, tensor in group]
        flat = torch.cat([value.detach().reshape(-1) for value in values])
        order = orders.get((stem, len(flat))) if len(shape) == 1 else None
        if order is None:
            order = torch.randperm(len(flat), generator=generator)
        if len(shape) == 1:
            orders[stem, len(flat)] = order
        parts = flat[order.to(flat.device)].split(shape.numel())
        with torch.no_grad():
            for (_, tensor), part in zip(group, parts, strict=True):
                tensor.copy_(part.reshape(shape))


def _trained(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter, and the running means and variances of batch norms; tied ones once."""
    yield from module.named_parameters()
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm):
            for leaf, buffer in part.named_buffers(recurse=False):
                if buffer.ndim == 1:
                    yield f"{name}.{leaf}" if name else leaf, buffer
