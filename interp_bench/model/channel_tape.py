"""Gradients of a CNN's metric at the input of every channel group, contracted with changes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp_bench.model.channel_edges import chain, unpack
from interp_bench.model.channel_graph import channel_groups
from interp_bench.model.edge_writes import Hooks, SourceWrites, WriteRecorder
from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked


def channel_attributions(
    model: Model,
    inputs: Tensor,
    metric: Callable[[Tensor], Tensor],
    deltas: Tensor | Callable[[SourceWrites], SourceWrites],
    recorder: WriteRecorder,
    *,
    per_input: bool,
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
        deltas: (n_sources, batch, 1, width) changes, in the form of ``channel_rows``, or a function that
            makes them from what the sources put out in this run.
        recorder: records what they put out, and holds what it is told to.
        per_input: whether scores are given for each input by itself.

    Returns:
        (n_sources, n_destinations) or (batch, n_sources, n_destinations), zero where there is no edge.
    """
    reads: list[Tensor] = []
    outs: list[Tensor] = []
    layers = list(model.cnn.layers.values())
    # What a held layer would have put out is recorded before it is replaced: nothing depends on it.
    hooks: Hooks = [(layer, "out", outs.append) for layer in layers]
    hooks += recorder.hooks()
    hooks.append((layers[0], "in", lambda x: x.detach().requires_grad_()))
    hooks += [(layer, "in", reads.append) for layer in layers]
    last: list[Tensor] = []
    hooks.append((layers[-1], "out", last.append))
    with torch.enable_grad(), hooked(hooks):
        total = metric(model(inputs)).sum()
        gradients = torch.autograd.grad(total, [*outs, last[0]], retain_graph=True, allow_unused=True)
    change = _changes(model, deltas, recorder, [*reads, last[0]])
    scores = inputs.new_zeros((len(inputs), *model.graph.shape))
    for i, (layer, x, out, gradient) in enumerate(
        zip(chain(model), reads, outs, gradients[:-1], strict=True)
    ):
        for group, channels in enumerate(channel_groups(out.shape[1]) if gradient is not None else ()):
            through = torch.zeros_like(out)
            through[:, channels] = gradient[:, channels]
            (pulled,) = torch.autograd.grad(out, x, through, retain_graph=True)
            scores[:, layer.sources, layer.columns.start + group] = _by_group(change[i] * pulled)
    logits = model.graph.destinations[-1]
    scores[:, logits.first : logits.n_sources, -1] = _by_group(change[-1] * gradients[-1])
    return scores if per_input else scores.sum(0)


def _changes(
    model: Model,
    deltas: Tensor | Callable[[SourceWrites], SourceWrites],
    recorder: WriteRecorder,
    like: list[Tensor],
) -> list[Tensor]:
    """Return the changes of the stem's output and of every layer's, shaped like these."""
    if not isinstance(deltas, Tensor):
        return list(deltas(recorder.writes()).parts.values())
    firsts = {d.first: slice(d.first, d.n_sources) for d in model.graph.destinations}
    return [unpack(deltas[rows], x) for rows, x in zip(firsts.values(), like, strict=True)]


def _by_group(values: Tensor) -> Tensor:
    """Return (batch, n_groups), the sum of (batch, channel, height, width) over each channel group."""
    by_channel = values.detach().sum((2, 3))
    groups = channel_groups(by_channel.shape[1])
    return torch.stack([by_channel[:, channels].sum(1) for channels in groups], dim=1)
