"""Interventions and gradients on single edges of the circuit graph of a CNN.

A CNN is a chain of layers, each a function of the output of the one before. Cutting the edge from group
i of a layer to group j of the next computes group j from an input whose group i is replaced, and every
other group from the input as it is. The chain itself is run by the network, and only the groups whose
edges are cut are computed anew, so that nothing is assumed about what a layer does.

What sources put out differs in shape from layer to layer; here it is held in rows, flattened and padded
with zeros, so that outputs of the whole network can be added, subtracted and scaled as one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def channel_outputs(model: Model, inputs: Tensor) -> Tensor:
    """Return what every channel group puts out, without gradient.

    Args:
        model: a ResNet or ConvNeXt.
        inputs: pixels (batch, 3, height, width).

    Returns:
        (n_sources, batch, 1, width): the values of a group over channels, rows and columns, flattened
        in this order, then zeros up to the largest group of the network.
    """
    found: dict[int, Tensor] = {}
    layers = list(model.cnn.layers.values())
    hooks: Hooks = [(layers[0], "in", partial(found.__setitem__, 0))]
    hooks += [(layer, "out", partial(found.__setitem__, i)) for i, layer in enumerate(layers, start=1)]
    with torch.no_grad(), hooked(hooks):
        model(inputs)
    groups = [x[:, channels].flatten(1) for x in found.values() for channels in channel_groups(x.shape[1])]
    width = max(group.shape[1] for group in groups)
    return torch.stack([functional.pad(group, (0, width - group.shape[1])) for group in groups])[:, :, None]


def _unpack(rows: Tensor, like: Tensor) -> Tensor:
    """Return a layer's output, shaped ``like`` (batch, channel, height, width), from its sources' rows."""
    parts = []
    for row, channels in zip(rows[:, :, 0], channel_groups(like.shape[1]), strict=True):
        shape = like[:, channels].shape
        parts.append(row[:, : shape[1:].numel()].reshape(shape))
    return torch.cat(parts, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """One layer of the chain.

    Attributes:
        module: the layer.
        sources: rows of the graph of the groups that it reads.
        columns: columns of the graph of the groups that it computes.
    """

    module: nn.Module
    sources: slice
    columns: slice


def _chain(model: Model) -> Iterator[_Layer]:
    column = 0
    for module in model.cnn.layers.values():
        first = model.graph.destinations[column]
        count = sum(d.first == first.first and d.letter == "g" for d in model.graph.destinations)
        yield _Layer(
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
        replacement: (n_sources, batch, 1, width) from ``channel_outputs``: what a cut edge carries.
        cut: (n_sources, n_destinations) bool, or (batch, n_sources, n_destinations).

    Returns:
        The logits (batch, class).
    """
    run = _PatchedRun(model, replacement, (cut & model.graph.valid).expand(len(inputs), -1, -1))
    with hooked(run.hooks()):
        return model(inputs)


class _PatchedRun:
    """The hooks of one run with cut edges."""

    def __init__(self, model: Model, replacement: Tensor, cut: Tensor) -> None:
        self.model, self.replacement, self.cut = model, replacement, cut.to(model.device)
        self.read: Tensor | None = None

    def hooks(self) -> Hooks:
        hooks: Hooks = []
        for layer in _chain(self.model):
            if bool(self.cut[:, layer.sources, layer.columns].any()):
                hooks.append((layer.module, "in", self._remember))
                hooks.append((layer.module, "out", partial(self._compute_anew, layer)))
        logits = self.model.graph.destinations[-1]
        cut = self.cut[:, logits.first : logits.n_sources, -1]
        if bool(cut.any()):
            rows = slice(logits.first, logits.n_sources)
            hooks.append((list(self.model.cnn.layers.values())[-1], "out", partial(self._logits, rows, cut)))
        return hooks

    def _remember(self, x: Tensor) -> None:
        self.read = x

    def _logits(self, rows: slice, cut: Tensor, x: Tensor) -> Tensor:
        return _mix(x, _unpack(self.replacement[rows], x), cut)

    def _compute_anew(self, layer: _Layer, out: Tensor) -> Tensor:
        """Compute the groups whose edges are cut, each distinct mixture of inputs only once."""
        assert self.read is not None
        x, cut = self.read, self.cut[:, layer.sources, layer.columns]
        powers = 2 ** torch.arange(cut.shape[1], device=cut.device)
        pattern = (cut * powers[:, None]).sum(1)  # (batch, destination): the cut sources as bits
        samples, groups = torch.nonzero(pattern, as_tuple=True)
        keys = torch.stack([samples, pattern[samples, groups]], dim=1)
        mixtures, which = keys.unique(dim=0, return_inverse=True)
        other = _unpack(self.replacement[layer.sources], x)
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
    """Return ``x`` with the groups ``cut`` (batch, group) of each row taken from ``other``."""
    sizes = [group.stop - group.start for group in channel_groups(x.shape[1])]
    channels = cut.repeat_interleave(torch.tensor(sizes, device=cut.device), dim=1)
    return torch.where(channels[:, :, None, None], other, x)


def channel_attributions(
    model: Model,
    inputs: Tensor,
    metric: Callable[[Tensor], Tensor],
    deltas: Tensor,
    *,
    stream: Tensor | None = None,
) -> Tensor:
    """Return the first-order effect on a metric of changing what each edge carries.

    For the edge from group i to group j this is the sum of ``deltas`` of group i times the gradient of
    the summed metric with respect to group i of the layer's input, through group j alone (Syed et al.
    2023, edge attribution patching, on channel groups). One forward, one backward through the whole
    network, and one backward through each layer for each of its groups.

    Args:
        model: a ResNet or ConvNeXt.
        inputs: one batch of pixels.
        metric: logits -> (batch,).
        deltas: (n_sources, batch, 1, width) changes, in the form of ``channel_outputs``.
        stream: (n_roots, batch, 1, width) in place of what the stem puts out, in the same form.

    Returns:
        (n_sources, n_destinations) scores, zero where there is no edge.
    """
    reads: list[Tensor] = []
    outs: list[Tensor] = []
    layers = list(model.cnn.layers.values())

    def leaf(x: Tensor) -> Tensor:
        return (x if stream is None else _unpack(stream, x)).detach().requires_grad_()

    hooks: Hooks = [(layers[0], "in", leaf)]
    hooks += [(layer, "in", reads.append) for layer in layers]
    hooks += [(layer, "out", outs.append) for layer in layers]
    with torch.enable_grad(), hooked(hooks):
        total = metric(model(inputs)).sum()
        gradients = torch.autograd.grad(total, outs, retain_graph=True)
    scores = torch.zeros(model.graph.shape, dtype=deltas.dtype, device=deltas.device)
    for layer, x, out, gradient in zip(_chain(model), reads, outs, gradients, strict=True):
        change = _unpack(deltas[layer.sources], x)
        for group, channels in enumerate(channel_groups(out.shape[1])):
            through = torch.zeros_like(gradient)
            through[:, channels] = gradient[:, channels]
            (pulled,) = torch.autograd.grad(out, x, through, retain_graph=True)
            scores[layer.sources, layer.columns.start + group] = _by_group(change * pulled)
    logits = model.graph.destinations[-1]
    rows = slice(logits.first, logits.n_sources)
    scores[rows, -1] = _by_group(_unpack(deltas[rows], outs[-1]) * gradients[-1])
    return scores


def _by_group(values: Tensor) -> Tensor:
    """Return (n_groups,), the sum of (batch, channel, height, width) over each channel group."""
    by_channel = values.detach().sum((0, 2, 3))
    return torch.stack([by_channel[channels].sum() for channels in channel_groups(len(by_channel))])
