"""Negative controls: the weights that a network gets for a while, and answers that outlast them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from interp_bench.harness.checksums import weights


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
def shown(
    module: nn.Module, *, pristine: Mapping[str, Tensor] | None, generator: Generator
) -> Iterator[None]:
    """Give a network other weights while the block runs, and its own back after it, whatever happens.

    Args:
        module: the planted network.
        pristine: the weights to show; None for its own, permuted.
        generator: source of the permutations.
    """
    own = copied(module)
    try:
        if pristine is None:
            permute(module, generator)
        else:
            put(pristine, module)
        yield
    finally:
        put(own, module)


def permute(module: nn.Module, generator: Generator) -> None:
    """Permute the elements of every parameter, biases and gains of norms among them (Adebayo et al. 2018).

    Values keep their distribution within each tensor, so that the network keeps its scale. Vectors of
    one module go together: the gain, bias, running mean and running variance of a batch norm belong
    to the same channel. Other buffers (masks, tables of positions) are no weights, and stay.

    Args:
        module: the network, changed in place.
        generator: source of randomness, on the CPU.
    """
    done: set[int] = set()
    with torch.no_grad():
        for part in module.modules():
            tensors: list[Tensor] = [*part.parameters(recurse=False)]
            if isinstance(part, _BatchNorm):
                tensors += [b for b in part.buffers(recurse=False) if b.ndim == 1]
            orders: dict[torch.Size, Tensor] = {}
            for tensor in tensors:
                if id(tensor) in done:
                    continue
                done.add(id(tensor))
                if tensor.shape not in orders:
                    orders[tensor.shape] = torch.randperm(tensor.numel(), generator=generator)
                order = orders[tensor.shape].to(tensor.device)
                if tensor.ndim > 1:
                    del orders[tensor.shape]
                tensor.copy_(tensor.reshape(-1)[order].reshape(tensor.shape))


def outlasting(answer: object) -> object:
    """Return an answer that shares no memory with the network, whose weights are about to change."""
    if not is_dataclass(answer) or isinstance(answer, type):
        return copy.deepcopy(answer)
    values: dict[str, Any] = {field.name: getattr(answer, field.name) for field in fields(answer)}
    return replace(
        answer,
        **{
            name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
            for name, value in values.items()
        },
    )
