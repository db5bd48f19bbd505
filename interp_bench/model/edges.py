"""Interventions and gradients on single edges of the circuit graph.

The input of every destination is the sum of what its sources wrote. Cutting an edge replaces one
term of that sum, for that destination alone, by another value of the same source. Because every
node then runs on its own mixture, keeping a circuit and ablating the rest is the same run with
the complement cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from interp_bench.model.channel_edges import channel_patched_logits
from interp_bench.model.channel_tape import channel_attributions
from interp_bench.model.edge_cuts import PatchedRun
from interp_bench.model.edge_tape import Tape
from interp_bench.model.edge_writes import SourceWrites, WriteRecorder, record_writes
from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked
from interp_bench.model.vision import ConvAnatomy

Deltas = Tensor | Callable[[SourceWrites], SourceWrites]


def source_outputs(model: Model, inputs: Tensor) -> Tensor:
    """Return what every source writes into the residual stream, without gradient.

    Args:
        model: a network with a circuit graph.
        inputs: tokens or pixels, one batch.

    Returns:
        (n_sources, batch, position, d_model); the sum over sources (and output biases) is the
        input of the final norm. For a CNN (n_sources, batch, 1, width), the values of each channel
        group, flattened and padded with zeros.
    """
    return record_writes(model, inputs).stack()


def patched_logits(model: Model, inputs: Tensor, replacement: Tensor, cut: Tensor) -> Tensor:
    """Run the model with some edges carrying replaced values.

    Args:
        model: a network with a circuit graph.
        inputs: the batch that everything else runs on.
        replacement: (n_sources, batch, position, d_model) from ``source_outputs``, what a cut edge
            carries.
        cut: (n_sources, n_destinations) bool, which edges are cut; or (batch, n_sources,
            n_destinations), for each input its own. In floating point, the share of the way from what
            an edge carries to its replacement; the logits are differentiable in it.

    Returns:
        The logits.
    """
    valid = model.graph.valid.to(cut.device)
    run = channel_patched_logits if isinstance(model.anatomy, ConvAnatomy) else _patched_logits
    return run(model, inputs, replacement, cut * valid if cut.is_floating_point() else cut & valid)


def _patched_logits(model: Model, inputs: Tensor, replacement: Tensor, cut: Tensor) -> Tensor:
    run = PatchedRun(model, replacement, cut)
    with hooked(run.hooks()):
        return model(inputs)


def held_logits(model: Model, inputs: Tensor, held: Mapping[str, Tensor]) -> Tensor:
    """Return the logits when some sources write other values, differentiable in these.

    Args:
        model: a network with a circuit graph.
        inputs: one batch.
        held: parts of ``SourceWrites`` -> what these sources write.
    """
    with hooked(WriteRecorder(model, held).hooks()):
        return model(inputs)


def edge_attributions(
    model: Model,
    inputs: Tensor,
    metric: Callable[[Tensor], Tensor],
    deltas: Deltas,
    *,
    held: Mapping[str, Tensor] | None = None,
    per_input: bool = False,
) -> Tensor:
    """Return the first-order effect on a metric of changing what each edge carries.

    For edge (u, v) this is the sum over batch, position and width of ``deltas[u]`` times the
    gradient of the summed metric with respect to the residual input of destination v alone
    (Syed et al. 2023, edge attribution patching). One forward, one backward, one contraction;
    gradients are contracted layer by layer, so nothing of size (edges, batch, position) exists.

    Args:
        model: a network with a circuit graph.
        inputs: one batch.
        metric: logits -> (batch,).
        deltas: (n_sources, batch, position, d_model) changes, in the form of ``source_outputs``; or a
            function that makes them from what the sources write in this very run, which takes far
            less memory.
        held: parts of ``SourceWrites`` -> what these sources write instead. Nothing before them
            matters then, and the scores of edges that lead only there are zero.
        per_input: whether scores are given for each input by itself.

    Returns:
        (n_sources, n_destinations) scores, or (batch, n_sources, n_destinations); zero where there is
        no edge.
    """
    recorder = WriteRecorder(model, held or {})
    if isinstance(model.anatomy, ConvAnatomy):
        return channel_attributions(model, inputs, metric, deltas, recorder, per_input=per_input)
    tape = Tape(model)
    with torch.enable_grad(), hooked([*recorder.hooks(), *tape.hooks()]):
        gradients = tape.gradients(metric(model(inputs)).sum())
    changes = deltas if isinstance(deltas, Tensor) else deltas(recorder.writes())
    return tape.contract(gradients, changes, per_input=per_input)
