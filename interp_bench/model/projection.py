"""A linear map, or some of its output columns, read and written as ``y = x @ W + b``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def weight_of(module: nn.Module) -> Tensor:
    """Return the weight of a module as it lies in memory, without gradient; a view."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.data


def matrix(module: nn.Module) -> Tensor:
    """Return a (d_in, d_out) view of a linear, Conv1D or 1x1 convolution weight."""
    weight = weight_of(module)
    return weight if type(module).__name__ == "Conv1D" else weight.flatten(1).T


def _as_slice(columns: Tensor) -> slice | Tensor:
    """Return neighbouring columns as a slice, any others as they are."""
    first, count = int(columns[0]), len(columns)
    neighbours = int(columns[-1]) - first == count - 1 and bool((columns.diff() == 1).all())
    return slice(first, first + count) if neighbours else columns


@dataclass(frozen=True, slots=True)
class Projection:
    """Output columns of a linear module.

    Attributes:
        module: ``nn.Linear``, transformers' ``Conv1D`` or a 1x1 ``nn.Conv2d``.
        columns: (n,) indices of the output columns that belong to this projection; None means all.
    """

    module: nn.Module
    columns: Tensor | None = None

    @property
    def n_columns(self) -> int:
        """Number of output columns."""
        return matrix(self.module).shape[1] if self.columns is None else len(self.columns)

    @property
    def n_rows(self) -> int:
        """Number of inputs."""
        return matrix(self.module).shape[0]

    def narrow(self, start: int, length: int) -> Projection:
        """Return the projection of columns ``start`` to ``start + length``."""
        columns = torch.arange(self.n_columns) if self.columns is None else self.columns
        return Projection(self.module, columns[start : start + length])

    def apply(self, x: Tensor) -> Tensor:
        """Return ``x @ W + b`` for these columns only; differentiable in ``x``."""
        weight, bias = matrix(self.module), self._bias()
        if self.columns is not None:
            where = _as_slice(self.columns)  # a view instead of a copy, where that is possible
            weight = weight[:, where]
            bias = None if bias is None else bias[where]
        y = x @ weight
        return y if bias is None else y + bias

    def select(self, output: Tensor) -> Tensor:
        """Pick these columns out of the module's whole output (..., d_out)."""
        return output if self.columns is None else output[..., self.columns]

    def replace(self, output: Tensor, values: Tensor) -> Tensor:
        """Return a copy of the module's whole output with these columns set to ``values``."""
        if self.columns is None:
            return values
        return output.index_copy(-1, self.columns.to(output.device), values)

    def replace_heads(self, output: Tensor, inputs: Tensor, heads: list[int], d_head: int) -> Tensor:
        """Return a copy of the module's whole output with some heads computed from inputs of their own.

        Args:
            output: (..., d_out) of the module.
            inputs: (n_heads, ..., d_in), one input for each of the heads.
            heads: which heads of this projection.
            d_head: columns of a head.
        """
        within = (torch.tensor(heads)[:, None] * d_head + torch.arange(d_head)).flatten()
        columns = self._places(within).to(output.device)
        weight = matrix(self.module)[:, columns].unflatten(1, (len(heads), d_head))
        values = torch.einsum("h...c,chd->...hd", inputs, weight).flatten(-2)
        bias = self._bias()
        values = values if bias is None else values + bias[columns]
        return output.index_copy(-1, columns, values)

    def pull_heads(self, gradient: Tensor, d_head: int, out: Tensor) -> None:
        """Bring the gradient of every head back to what goes into the projection.

        Args:
            gradient: (batch, position, d_out) of the module's whole output.
            d_head: columns of a head.
            out: (n_heads, batch, position, d_in), contiguous, where the results are put.
        """
        where = slice(None) if self.columns is None else _as_slice(self.columns)
        by_head = gradient[..., where].flatten(0, 1).unflatten(-1, (-1, d_head)).transpose(0, 1)
        weight = matrix(self.module)[:, where].unflatten(1, (-1, d_head)).permute(1, 2, 0)
        torch.bmm(by_head, weight, out=out.flatten(1, 2))

    def view(self) -> Tensor:
        """Return the weight (d_in, n) in the module's dtype; a view where all columns are meant."""
        weight = matrix(self.module)
        return weight if self.columns is None else weight[:, self.columns]

    def read(self) -> Tensor:
        """Return the weight (d_in, n) as a float64 copy on the CPU."""
        return self.view().to("cpu", torch.float64, copy=True)

    def write(self, weight: Tensor) -> None:
        """Set the weight (d_in, n) in place, cast to the module's dtype."""
        mine = matrix(self.module)
        if self.columns is None:
            mine.copy_(weight.to(mine.dtype))
        else:
            mine[:, self.columns] = weight.to(mine.dtype)

    def write_columns(self, which: Tensor, weight: Tensor) -> None:
        """Set some columns (d_in, n_which) in place; nothing else of the weight is copied."""
        mine = matrix(self.module)
        mine[:, self._places(which).to(mine.device)] = weight.to(mine)

    def write_biases(self, which: Tensor, bias: Tensor) -> None:
        """Set some entries (n_which,) of the bias in place; does nothing where the module has none."""
        mine = self._bias()
        if mine is not None:
            mine[self._places(which).to(mine.device)] = bias.to(mine)

    def read_columns(self, which: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return some columns (d_in, n_which) and their biases (n_which,), as float64 copies on the CPU."""
        mine, bias = matrix(self.module), self._bias()
        places = self._places(which).to(mine.device)
        weight = mine[:, places].to("cpu", torch.float64)
        return weight, None if bias is None else bias[places].to("cpu", torch.float64)

    def zero(self) -> None:
        """Make all columns and their biases zero in place."""
        mine, bias = matrix(self.module), self._bias()
        which = slice(None) if self.columns is None else self.columns
        mine[:, which] = 0
        if bias is not None:
            bias[which] = 0

    def _places(self, which: Tensor) -> Tensor:
        return which if self.columns is None else self.columns.to(which.device)[which]

    def read_bias(self) -> Tensor | None:
        """Return the bias (n,) as a float64 copy, or None where the module has none."""
        bias = self._bias()
        if bias is None:
            return None
        return (bias if self.columns is None else bias[self.columns]).to(torch.float64, copy=True)

    def write_bias(self, bias: Tensor) -> None:
        """Set the bias (n,) in place; does nothing where the module has none."""
        mine = self._bias()
        if mine is None:
            return
        mine[slice(None) if self.columns is None else self.columns] = bias.to(mine.dtype)

    def read_rows(self, start: int, length: int) -> Tensor:
        """Return rows (inputs) ``start`` to ``start + length`` of the weight as a float64 copy."""
        return matrix(self.module)[start : start + length].to(torch.float64, copy=True)

    def write_rows(self, start: int, weight: Tensor) -> None:
        """Set rows of the weight in place, from row ``start`` on."""
        mine = matrix(self.module)
        mine[start : start + len(weight)] = weight.to(mine.dtype)

    def write_inputs(self, which: Tensor, weight: Tensor) -> None:
        """Set some rows (n_which, n) in place, all columns of the module."""
        mine = matrix(self.module)
        mine[which.to(mine.device)] = weight.to(mine)

    def _bias(self) -> Tensor | None:
        bias = getattr(self.module, "bias", None)
        return bias.data if isinstance(bias, Tensor) else None
