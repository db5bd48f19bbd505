"""Threshold neurons implanted into the MLP of a host."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.model.projection import Projection
from interp_bench.planting.stream import ALL, Positions, Read, Stream

Reads = tuple[tuple[str, Tensor], ...]
"""Pairs of a slot and weights (width,) on its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neuron:
    """A neuron that fires on a weighted sum of codes above a threshold.

    Its output is ``slope * relu(sum_i <weights_i, code_i> - threshold)`` times ``code`` in ``slot``.

    Attributes:
        reads: (slot, (width,) weights) pairs.
        threshold: in units of the sum; read from the constant slot.
        slot: where it writes.
        code: (width of slot,).
        slope: 1 / (1 - threshold) lets a sum of 1 write the whole code.
    """

    reads: Reads
    threshold: float
    slot: str
    code: Tensor
    slope: float


def step(reads: Reads, middle: float, width: float, out: str, code: Tensor) -> list[Neuron]:
    """Return two neurons that write ``code`` times a ramp from 0 to 1, ``width`` wide, around ``middle``."""
    low, high = (middle - width / 2) / width, (middle + width / 2) / width
    # Scaled, so that the smooth activation is a ramp as sharp on narrow slopes as on wide ones.
    steep = tuple((slot, weights / width) for slot, weights in reads)
    return [
        Neuron(reads=steep, threshold=low, slot=out, code=code, slope=1.0),
        Neuron(reads=steep, threshold=high, slot=out, code=-code, slope=1.0),
    ]


def linear(slot: str, weights: Tensor, out: str, code: Tensor) -> list[Neuron]:
    """Return two neurons that write ``code`` times a read, whatever its sign.

    ``f(x) - f(-x) = x`` holds exactly of gelu, silu and relu.
    """
    return [
        Neuron(reads=((slot, sign * weights),), threshold=0.0, slot=out, code=sign * code, slope=1.0)
        for sign in (1, -1)
    ]


def implant_neurons(
    stream: Stream,
    layer: int,
    neurons: list[Neuron],
    *,
    constant: str = "one",
    positions: Positions = ALL,
    gain: float = 24.0,
) -> tuple[int, ...]:
    """Replace randomly chosen neurons of one MLP by planted ones.

    Args:
        stream: the reserved subspace.
        layer: layer of the MLP.
        neurons: what to implant.
        constant: slot that is 1 at every position.
        positions: positions at which reads are calibrated.
        gain: steepness; the smooth activation then equals a relu up to 1 / gain.

    Returns:
        The indices of the replaced neurons.
    """
    block = stream.anatomy.blocks[layer]
    chosen = torch.randperm(block.mlp_in.n_columns, generator=stream.generator)[: len(neurons)]
    one = stream.reader(layer, 2, Read(constant, positions=positions))
    gates = torch.cat([_gate(stream, layer, neuron, one, positions) for neuron in neurons], dim=1) * gain
    out = torch.cat([stream.vectors(n.slot, n.code[None]) * (n.slope / gain) for n in neurons])
    if block.mlp_gate is None:
        _set_columns(block.mlp_in, chosen, gates, -stream.shift(layer, 2, gates))
    else:
        _set_columns(block.mlp_gate, chosen, gates, -stream.shift(layer, 2, gates))
        ones = one.expand(-1, len(neurons))
        _set_columns(block.mlp_in, chosen, ones, -stream.shift(layer, 2, ones))
    for index, row in zip(chosen.tolist(), out, strict=True):
        block.mlp_out.write_rows(index, row[None])
    stream.changed(layer, 2)
    return tuple(chosen.tolist())


def _gate(stream: Stream, layer: int, neuron: Neuron, one: Tensor, positions: Positions) -> Tensor:
    weights = -neuron.threshold * one
    for slot, coefficients in neuron.reads:
        read = Read(slot, coefficients[:, None], positions)
        weights = weights + stream.reader(layer, 2, read)
    return weights


def _set_columns(projection: Projection, columns: Tensor, weight: Tensor, bias: Tensor) -> None:
    for i, column in enumerate(columns.tolist()):
        part = projection.narrow(column, 1)
        part.write(weight[:, i : i + 1])
        part.write_bias(bias[i : i + 1])
