"""Interventions and gradients on single edges of the circuit graph of a CNN.

A CNN is a chain of layers, each a function of the output of the one before. Cutting the edge from group
i of a layer to group j of the next computes group j from an input whose group i is replaced, and every
other group from the input as it is. The chain itself is run by the network, and only the groups whose
edges are cut are computed anew, so that nothing is assumed about what a layer does.

What sources put out differs in shape from layer to layer; here it is held in rows, flattened and padded
with zeros, so that outputs of the whole network can be added, subtracted and scaled as one tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from interp_bench.model.channel_graph import channel_groups
from interp_bench.model.handle import Model
from interp_bench.model.hooks import Edit, hooked

Hooks = list[tuple[nn.Module, Literal["in", "out"], Edit]]


def channel_rows(outputs: Sequence[Tensor]) -> Tensor:
    """Return what every channel group puts out, from the outputs of the stem and of all layers.

    Args:
        outputs: (batch, channel, height, width) each.

    Returns:
        (n_sources, batch, 1, width): the values of a group over channels, rows and columns, flattened
        in this order, then zeros up to the largest group of the network.
    """
    groups = [x[:, channels].flatten(1) for x in outputs for channels in channel_groups(x.shape[1])]
    width = max(group.shape[1] for group in groups)
    return torch.stack([functional.pad(group, (0, width - group.shape[1])) for group in groups])[:, :, None]


def unpack(rows: Tensor, like: Tensor) -> Tensor:
    """Return a layer's output, shaped ``like`` (batch, channel, height, width), from its sources' rows."""
    parts = []
    for row, channels in zip(rows[:, :, 0], channel_groups(like.shape[1]), strict=True):
        shape = like[:, channels].shape
        parts.append(row[:, : shape[1:].numel()].reshape(shape))
    return torch.cat(parts, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the chain.

    Attributes:
        module: the layer.
        sources: rows of the graph of the groups that it reads.
        columns: columns of the graph of the groups that it computes.
    """

    module: nn.Module
    sources: slice
    columns: slice


def chain(model: Model) -> Iterator[Layer]:
    """Yield the layers behind the stem, in order of depth."""
    column = 0
    for module in model.cnn.layers.values():
        first = model.graph.destinations[column]
        count = sum(d.first == first.first and d.letter == "g" for d in model.graph.destinations)
        yield Layer(
            module=module,
            sources=slice(first.first, first.n_sources),
            columns=slice(column, column + count),
        )
        column += count


def channel_patched_logits(model: Model, inputs: Tensor, replacement: Tensor, cut: Tensor) -> Tensor:
    """Run a CNN with some edges carrying replaced values.

    Args:
        model: a ResNet or ConvNeXt.
        inputs: the batch that everything else runs on.
        replacement: (n_sources, batch, 1, width) from ``channel_rows``: what a cut edge carries.
        cut: (n_sources, n_destinations) or (batch, n_sources, n_destinations), nowhere but on edges;
            bool, or the share of each edge that is replaced.

    Returns:
        The logits (batch, class).
    """
    run = _PatchedRun(model, replacement, cut.expand(len(inputs), -1, -1))
    with hooked(run.hooks()):
        return model(inputs)


class _PatchedRun:
    """The hooks of one run with cut edges."""

    def __init__(self, model: Model, replacement: Tensor, cut: Tensor) -> None:
        self.model, self.replacement, self.cut = model, replacement, cut.to(model.device)
        self.read: Tensor | None = None

    def hooks(self) -> Hooks:
        hooks: Hooks = []
        anew = self._mix_anew if self.cut.is_floating_point() else self._compute_anew
        for layer in chain(self.model):
            if self._touched(self.cut[:, layer.sources, layer.columns]):
                hooks.append((layer.module, "in", self._remember))
                hooks.append((layer.module, "out", partial(anew, layer)))
        logits = self.model.graph.destinations[-1]
        cut = self.cut[:, logits.first : logits.n_sources, -1]
        if self._touched(cut):
            rows = slice(logits.first, logits.n_sources)
            hooks.append((list(self.model.cnn.layers.values())[-1], "out", partial(self._logits, rows, cut)))
        return hooks

    @staticmethod
    def _touched(cut: Tensor) -> bool:
        return cut.requires_grad or bool(cut.any())

    def _remember(self, x: Tensor) -> None:
        self.read = x

    def _logits(self, rows: slice, cut: Tensor, x: Tensor) -> Tensor:
        return _mix(x, unpack(self.replacement[rows], x), cut)

    def _mix_anew(self, layer: Layer, out: Tensor) -> Tensor:
        """Compute every group from its own mixture of inputs, differentiable in the shares."""
        assert self.read is not None
        x, cut = self.read, self.cut[:, layer.sources, layer.columns]
        other = unpack(self.replacement[layer.sources], x)
        fresh = []
        for group, channels in enumerate(channel_groups(out.shape[1])):
            # forward() goes past the hooks, so this inner call is not taken for the model's own.
            fresh.append(layer.module.forward(_mix(x, other, cut[:, :, group]))[:, channels])
        return torch.cat(fresh, dim=1)

    def _compute_anew(self, layer: Layer, out: Tensor) -> Tensor:
        """Compute the groups whose edges are cut, each distinct mixture of inputs only once."""
        assert self.read is not None
        x, cut = self.read, self.cut[:, layer.sources, layer.columns]
        powers = 2 ** torch.arange(cut.shape[1], device=cut.device)
        pattern = (cut * powers[:, None]).sum(1)  # (batch, destination): the cut sources as bits
        samples, groups = torch.nonzero(pattern, as_tuple=True)
        keys = torch.stack([samples, pattern[samples, groups]], dim=1)
        mixtures, which = keys.unique(dim=0, return_inverse=True)
        other = unpack(self.replacement[layer.sources], x)
        bits = (mixtures[:, 1:] & powers) > 0
        fresh = self._run(layer.module, x, other, mixtures[:, 0], bits)
        out = out.clone()
        for group, channels in enumerate(channel_groups(out.shape[1])):
            mine = groups == group
            out[samples[mine], channels] = fresh[which[mine], channels]
        return out

    @staticmethod
    def _run(layer: nn.Module, x: Tensor, other: Tensor, samples: Tensor, bits: Tensor) -> Tensor:
        """Return the layer's output on mixtures, in batches as large as that of ``x``."""
        parts = []
        for rows, cut in zip(samples.split(len(x)), bits.split(len(x)), strict=True):
            # forward() goes past the hooks, so this inner call is not taken for the model's own.
            parts.append(layer.forward(_mix(x[rows], other[rows], cut)))
        return torch.cat(parts)


def _mix(x: Tensor, other: Tensor, cut: Tensor) -> Tensor:
    """Return ``x`` with groups ``cut`` (batch, group) of each row taken from ``other``, or a share."""
    sizes = [group.stop - group.start for group in channel_groups(x.shape[1])]
    channels = cut.repeat_interleave(torch.tensor(sizes, device=cut.device), dim=1)[:, :, None, None]
    if cut.is_floating_point():
        return x + channels.to(x) * (other - x)
    return torch.where(channels, other, x)
