"""Rewriting some channels of a ResNet block: what it reads, computes and writes beside the host's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError

_TAPS = torch.tensor([0.0, 1.0, 1.0])  # at stride 2 each position goes to one output, also at the border


class Rewrite:
    """Collects hidden channels and what they write, then puts them into the block's weights.

    Hidden channels are ``relu(reads @ x - threshold)`` at every position, and the outputs that they
    write to carry nothing else of the block's own.

    Attributes:
        n_in, n_out: channels of the block's input and output.
        identity: whether the shortcut carries the input on unchanged.
    """

    def __init__(self, block: nn.Module, n_in: int, n_out: int) -> None:
        self.block, self.n_in, self.n_out = block, n_in, n_out
        self.identity = getattr(block, "downsample", None) is None
        self._reads: list[Tensor] = []
        self._thresholds: list[Tensor] = []
        self._writes: list[tuple[slice, Tensor]] = []
        self._cleared: set[int] = set()
        self._count = 0

    def read(self, rows: Tensor, *, threshold: float = 0.0) -> slice:
        """Add hidden channels ``relu(rows @ x - threshold)``, rows (n, n_in); returns which they are."""
        hidden = slice(self._count, self._count + len(rows))
        self._count = hidden.stop
        self._reads.append(rows)
        self._thresholds.append(torch.full((len(rows),), threshold, dtype=torch.float64))
        return hidden

    def write(self, hidden: slice, columns: Tensor) -> None:
        """Let hidden channels write ``columns`` (n_out, n)."""
        self._writes.append((hidden, columns))

    def clear(self, *channels: Tensor) -> None:
        """Take off these output channels all that the shortcut brings and the block itself writes."""
        for some in channels:
            self._cleared |= set(some.tolist())

    def apply(self, generator: torch.Generator) -> None:
        """Change the weights of the block.

        Args:
            generator: draws which of the block's hidden channels are used.

        Raises:
            PlantingError: the block has too few hidden channels, or is of an unknown kind.
        """
        if not self._writes:
            return
        cleared = torch.tensor(sorted(self._cleared), dtype=torch.long)
        if self.identity:
            own = torch.eye(self.n_in, dtype=torch.float64)[cleared]
            self.write(self.read(own), -own.T)
        reads, thresholds = torch.cat(self._reads), torch.cat(self._thresholds)
        columns = torch.zeros(self.n_out, self._count, dtype=torch.float64)
        for hidden, some in self._writes:
            columns[:, hidden] += some
        rows = torch.nonzero(columns.abs().sum(1)).flatten()
        layers = layers_of(self.block)
        matrix, inputs = reads, torch.arange(self.n_in)
        for conv, norm in layers[:-1]:
            if self._count > conv.out_channels:
                name = type(self.block).__name__
                raise PlantingError(f"a {name} of {conv.out_channels} hidden channels needs {self._count}")
            chosen = torch.randperm(conv.out_channels, generator=generator)[: self._count]
            _set(conv, chosen, inputs, matrix)
            pass_through(norm, chosen).bias.data[chosen] = -thresholds.to(conv.weight)
            matrix, inputs = torch.eye(self._count, dtype=torch.float64), chosen
            thresholds = torch.zeros_like(thresholds)
        conv, norm = layers[-1]
        _set(conv, rows, inputs, columns[rows])
        pass_through(norm, rows)
        if not self.identity:
            shortcut = self.block.downsample
            assert isinstance(shortcut, nn.Sequential)
            pass_through(shortcut[-1], rows, gain=0.0)


def layers_of(block: nn.Module) -> list[tuple[nn.Conv2d, nn.Module]]:
    """Return the convolutions of a BasicBlock (two) or a Bottleneck (three), each with its norm.

    Raises:
        PlantingError: the block has no such parts.
    """
    found = []
    for i in (1, 2, 3):
        conv, norm = getattr(block, f"conv{i}", None), getattr(block, f"bn{i}", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.Module):
            found.append((conv, norm))
    plain = all(conv.groups == 1 for conv, _ in found) and getattr(block, "se", None) is None
    if len(found) < 2 or not plain:
        raise PlantingError(f"{type(block).__name__} is no residual block that a circuit can pass through")
    return found


def pass_through(norm: nn.Module, channels: Tensor, *, gain: float = 1.0) -> nn.BatchNorm2d:
    """Make a batch norm multiply these channels by ``gain`` and change nothing else; returns it.

    Raises:
        PlantingError: the norm is no batch norm with running statistics.
    """
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
        raise PlantingError(f"a circuit passes through batch norms only, not {type(norm).__name__}")
    norm.running_mean[channels] = 0
    norm.running_var[channels] = 1 - norm.eps
    norm.weight.data[channels] = gain
    norm.bias.data[channels] = 0
    return norm


def _set(conv: nn.Conv2d, outputs: Tensor, inputs: Tensor, matrix: Tensor) -> None:
    """Make output channels a (outputs, inputs) matrix times input channels, position by position."""
    side = int(conv.kernel_size[0])
    taps = torch.zeros(side)
    if side == 3 and int(conv.stride[0]) == 2:
        taps = _TAPS
    else:
        taps[side // 2] = 1
    kernel = (taps[:, None] * taps).to(matrix)
    conv.weight.data[outputs] = 0
    values = matrix[:, :, None, None] * kernel
    conv.weight.data[outputs[:, None], inputs] = values.to(conv.weight)
    if isinstance(conv.bias, Tensor):
        conv.bias.data[outputs] = 0
