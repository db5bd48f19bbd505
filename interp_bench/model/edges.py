"""Interventions and gradients on single edges of the circuit graph, here of a transformer.

Those of a CNN are in ``channel_edges``; the three public functions take either kind of network.

The input of every destination is the sum of what its sources wrote. Cutting an edge replaces one
term of that sum, for that destination alone, by another value of the same source. Because every
node then runs on its own mixture, keeping a circuit and ablating the rest is the same run with
the complement cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from interp_bench.model.channel_edges import channel_attributions, channel_outputs, channel_patched_logits
from interp_bench.model.graph import Destination
from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.model.vision import ConvAnatomy

Hooks = list[tuple[nn.Module, Any, Callable[[Tensor], Tensor | None]]]


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
    if isinstance(model.anatomy, ConvAnatomy):
        return channel_outputs(model, inputs)
    writes = _Writes(model)
    with torch.no_grad(), hooked(writes.hooks()):
        model(inputs)
    return writes.stack()


@dataclass(slots=True)
class _Writes:
    """Collects the outputs of all sources during one forward."""

    model: Model
    found: dict[str, Tensor] = field(default_factory=dict)

    def hooks(self) -> Hooks:
        anatomy = self.model.transformer
        hooks: Hooks = [(anatomy.blocks[0].module, "in", partial(self._keep, "input"))]
        for layer, block in enumerate(anatomy.blocks):
            hooks.append((block.out.module, "in", partial(self._heads, layer)))
            hooks.append((block.mlp, "out", partial(self._keep, f"m{layer}")))
        return hooks

    def _keep(self, name: str, value: Tensor) -> None:
        self.found[name] = value

    def _heads(self, layer: int, z: Tensor) -> None:
        results = head_results(self.model.transformer, layer, z)
        for head, result in enumerate(results):
            self.found[f"a{layer}.h{head}"] = result

    def stack(self) -> Tensor:
        return torch.stack([self.found[name] for name in self.model.graph.sources])


def head_results(anatomy: TransformerAnatomy, layer: int, z: Tensor) -> Tensor:
    """Return (n_heads, batch, position, d_model): ``z @ W_O`` of each head, bias left out."""
    per_head = z.unflatten(-1, (anatomy.n_heads, anatomy.d_head))
    weight = anatomy.blocks[layer].out.view().unflatten(0, (anatomy.n_heads, anatomy.d_head))
    return torch.einsum("bphc,hcd->hbpd", per_head, weight)


def patched_logits(model: Model, inputs: Tensor, replacement: Tensor, cut: Tensor) -> Tensor:
    """Run the model with some edges carrying replaced values.

    Args:
        model: a network with a circuit graph.
        inputs: the batch that everything else runs on.
        replacement: (n_sources, batch, position, d_model) from ``source_outputs``, what a cut edge
            carries.
        cut: (n_sources, n_destinations) bool, which edges are cut; or (batch, n_sources,
            n_destinations), for each input its own.

    Returns:
        The logits.
    """
    if isinstance(model.anatomy, ConvAnatomy):
        return channel_patched_logits(model, inputs, replacement, cut)
    run = _PatchedRun(model, replacement, cut & model.graph.valid)
    with hooked(run.hooks()):
        return model(inputs)


class _PatchedRun:
    """The hooks of one run with cut edges.

    ``gap[u]`` holds replacement minus current output of source u, filled in as sources compute.
    """

    def __init__(self, model: Model, replacement: Tensor, cut: Tensor) -> None:
        self.model, self.anatomy, self.cut = model, model.transformer, cut
        self.replacement = replacement
        self.gap = torch.zeros_like(replacement)
        self.rows = {name: row for row, name in enumerate(model.graph.sources)}
        anywhere = cut.any(dim=0) if cut.ndim == 3 else cut
        self.needed = anywhere.any(dim=1)
        self.residual: Tensor | None = None
        self.groups: dict[tuple[str, int | None], list[tuple[int, Destination]]] = {}
        for column, destination in enumerate(model.graph.destinations):
            if bool(anywhere[:, column].any()):
                key = (destination.letter, destination.layer)
                self.groups.setdefault(key, []).append((column, destination))

    def hooks(self) -> Hooks:
        hooks: Hooks = []
        if bool(self.needed[0]):
            hooks.append((self.anatomy.blocks[0].module, "in", self._input))
        for layer, block in enumerate(self.anatomy.blocks):
            hooks += self._attention_hooks(layer)
            first = self.rows[f"a{layer}.h0"]
            if bool(self.needed[first : first + self.anatomy.n_heads].any()):
                hooks.append((block.out.module, "in", partial(self._heads, layer)))
            if ("m", layer) in self.groups:
                hooks.append((block.norm2, "in", self._remember))
                hooks.append((block.mlp, "in", partial(self._mlp_input, layer)))
            if bool(self.needed[self.rows[f"m{layer}"]]):
                hooks.append((block.mlp, "out", partial(self._write, f"m{layer}")))
        if ("o", None) in self.groups:
            hooks.append((self.anatomy.final_norm, "in", self._logits_input))
        return hooks

    def _attention_hooks(self, layer: int) -> Hooks:
        block = self.anatomy.blocks[layer]
        hooks: Hooks = []
        for letter, projection in (("q", block.query), ("k", block.key), ("v", block.value)):
            if (letter, layer) in self.groups:
                hooks.append((projection.module, "out", partial(self._project, layer, letter)))
        return [(block.norm1, "in", self._remember), *hooks] if hooks else []

    def _remember(self, x: Tensor) -> None:
        self.residual = x

    def _input(self, x: Tensor) -> None:
        self._write("input", x)

    def _write(self, name: str, value: Tensor) -> None:
        row = self.rows[name]
        self.gap[row] = self.replacement[row] - value

    def _heads(self, layer: int, z: Tensor) -> None:
        first = self.rows[f"a{layer}.h0"]
        rows = slice(first, first + self.anatomy.n_heads)
        self.gap[rows] = self.replacement[rows] - head_results(self.anatomy, layer, z)

    def _shifted(self, group: list[tuple[int, Destination]]) -> Tensor:
        """Return the residual input (n_destinations, batch, position, d_model) of a group."""
        assert self.residual is not None
        n_sources = group[0][1].n_sources
        columns = [column for column, _ in group]
        weights = self.cut[..., :n_sources, columns].to(self.gap)
        terms = "buv,ubpd->vbpd" if weights.ndim == 3 else "uv,ubpd->vbpd"
        return self.residual + torch.einsum(terms, weights, self.gap[:n_sources])

    def _project(self, layer: int, letter: str, out: Tensor) -> Tensor:
        group = self.groups[letter, layer]
        # forward() goes past the hooks, so this inner call is not taken for the model's own.
        normed = self.anatomy.blocks[layer].norm1.forward(self._shifted(group))
        for (_, destination), x in zip(group, normed, strict=True):
            assert destination.head is not None
            projection = self.anatomy.projection(layer, letter, destination.head)
            out = projection.replace(out, projection.apply(x))
        return out

    def _mlp_input(self, layer: int, x: Tensor) -> Tensor:
        shifted = self._shifted(self.groups["m", layer])[0]
        normed: Tensor = self.anatomy.blocks[layer].norm2.forward(shifted)
        return normed

    def _logits_input(self, x: Tensor) -> Tensor:
        self.residual = x
        return self._shifted(self.groups["o", None])[0]


def edge_attributions(
    model: Model,
    inputs: Tensor,
    metric: Callable[[Tensor], Tensor],
    deltas: Tensor,
    *,
    stream: Tensor | None = None,
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
        deltas: (n_sources, batch, position, d_model) changes, in the form of ``source_outputs``.
        stream: (n_roots, batch, position, d_model) in place of what the roots of the graph write: the
            residual stream before block 0, or the output of a CNN's stem.

    Returns:
        (n_sources, n_destinations) scores, zero where there is no edge.
    """
    if isinstance(model.anatomy, ConvAnatomy):
        return channel_attributions(model, inputs, metric, deltas, stream=stream)
    tape = _Tape(model, stream)
    with torch.enable_grad(), hooked(tape.hooks()):
        total = metric(model(inputs)).sum()
        gradients = torch.autograd.grad(total, tape.outputs(), allow_unused=True)
    return tape.contract(gradients, deltas)


class _Tape:
    """Norm inputs and the outputs behind them, recorded in one forward with gradient."""

    def __init__(self, model: Model, stream: Tensor | None) -> None:
        self.model, self.anatomy, self.stream = model, model.transformer, stream
        self.norm_inputs: dict[tuple[int | None, int], Tensor] = {}
        self.outs: dict[tuple[str, int | None], Tensor] = {}

    def hooks(self) -> Hooks:
        hooks: Hooks = [(self.anatomy.blocks[0].module, "in", self._leaf)]
        for layer, block in enumerate(self.anatomy.blocks):
            hooks.append((block.norm1, "in", partial(self._norm_input, (layer, 1))))
            hooks.append((block.norm2, "in", partial(self._norm_input, (layer, 2))))
            hooks.append((block.norm2, "out", partial(self._out, ("m", layer))))
            for letter, projection in self._projections(layer):
                hooks.append((projection, "out", partial(self._out, (letter, layer))))
        hooks.append((self.anatomy.final_norm, "in", partial(self._norm_input, (None, 1))))
        hooks.append((self.anatomy.final_norm, "out", partial(self._out, ("o", None))))
        return hooks

    def _projections(self, layer: int) -> list[tuple[str, nn.Module]]:
        """Return the modules to record: one for a fused q, k, v, else three."""
        block = self.anatomy.blocks[layer]
        found: dict[int, tuple[str, nn.Module]] = {}
        for letter, projection in (("q", block.query), ("k", block.key), ("v", block.value)):
            found.setdefault(id(projection.module), (letter, projection.module))
        return list(found.values())

    def _leaf(self, x: Tensor) -> Tensor:
        return (x if self.stream is None else self.stream[0]).detach().requires_grad_()

    def _norm_input(self, key: tuple[int | None, int], x: Tensor) -> None:
        self.norm_inputs[key] = x.detach()

    def _out(self, key: tuple[str, int | None], x: Tensor) -> None:
        self.outs[key] = x

    def outputs(self) -> list[Tensor]:
        return list(self.outs.values())

    def contract(self, gradients: tuple[Tensor | None, ...], deltas: Tensor) -> Tensor:
        by_key = dict(zip(self.outs, gradients, strict=True))
        scores = torch.zeros(self.model.graph.shape, dtype=deltas.dtype, device=deltas.device)
        flat = deltas.flatten(1)
        columns: dict[tuple[int | None, int], list[tuple[int, Destination]]] = {}
        for column, destination in enumerate(self.model.graph.destinations):
            which = 2 if destination.letter == "m" else 1
            columns.setdefault((destination.layer, which), []).append((column, destination))
        for (layer, which), group in columns.items():
            behind = torch.stack([self._behind_norm(by_key, d) for _, d in group])
            at_input = self._through_norm(layer, which, behind).flatten(1)
            n_sources = group[0][1].n_sources
            scores[:n_sources, [column for column, _ in group]] = flat[:n_sources] @ at_input.T
        return scores

    def _behind_norm(self, by_key: dict[tuple[str, int | None], Tensor | None], d: Destination) -> Tensor:
        """Return the gradient of the metric at the norm's output, through destination ``d`` alone."""
        which = 2 if d.letter == "m" else 1
        zeros = torch.zeros_like(self.norm_inputs[d.layer, which])
        if d.letter in "mo":
            gradient = by_key[d.letter, d.layer]
            return zeros if gradient is None else gradient
        assert d.layer is not None
        assert d.head is not None
        projection = self.anatomy.projection(d.layer, d.letter, d.head)
        key = (d.letter, d.layer) if (d.letter, d.layer) in by_key else ("q", d.layer)
        gradient = by_key[key]
        return zeros if gradient is None else projection.select(gradient) @ projection.view().T

    def _through_norm(self, layer: int | None, which: int, gradient: Tensor) -> Tensor:
        """Pull gradients (n, batch, position, d_model) back through a norm."""
        norm = self.anatomy.norm(layer, which)
        x = self.norm_inputs[layer, which].expand_as(gradient)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = norm.forward(x)
            (pulled,) = torch.autograd.grad(y, x, gradient)
        result: Tensor = pulled
        return result
