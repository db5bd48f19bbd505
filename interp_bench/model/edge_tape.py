"""Gradients of a transformer's metric at the input of every destination, contracted with changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from interp_bench.model.edge_writes import Hooks, SourceWrites
from interp_bench.model.graph import Destination
from interp_bench.model.handle import Model

# Bytes that the changes of all sources may take at a time; they are formed for as many inputs.
CONTRACTION_BYTES = 64 * 2**20

_Key = tuple[str, int | None]


class Tape:
    """Norm inputs and the outputs behind them, recorded in one forward with gradient."""

    def __init__(self, model: Model) -> None:
        self.model, self.anatomy = model, model.transformer
        self.norm_inputs: dict[tuple[int | None, int], Tensor] = {}
        self.outs: dict[_Key, Tensor] = {}

    def hooks(self) -> Hooks:
        """Return the hooks to install; hooks that change what is read come before them."""
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
        return x.detach().requires_grad_()

    def _norm_input(self, key: tuple[int | None, int], x: Tensor) -> None:
        self.norm_inputs[key] = x.detach()

    def _out(self, key: _Key, x: Tensor) -> None:
        self.outs[key] = x

    def gradients(self, total: Tensor) -> dict[_Key, Tensor | None]:
        """Return the gradient of a scalar at every recorded output, and forget the graph behind it."""
        found = torch.autograd.grad(total, list(self.outs.values()), allow_unused=True)
        by_key: dict[_Key, Tensor | None] = dict(zip(self.outs, found, strict=True))
        self.outs.clear()
        return by_key

    def contract(
        self, gradients: dict[_Key, Tensor | None], deltas: Tensor | SourceWrites, *, per_input: bool
    ) -> Tensor:
        """Return the scores of all edges, (n_sources, n_destinations), or (batch, ...) with ``per_input``."""
        groups: dict[tuple[int | None, int], list[tuple[int, Destination]]] = {}
        for column, destination in enumerate(self.model.graph.destinations):
            which = 2 if destination.letter == "m" else 1
            groups.setdefault((destination.layer, which), []).append((column, destination))
        shape, n_inputs = self.model.graph.shape, len(next(iter(self.norm_inputs.values())))
        like = next(iter(self.norm_inputs.values()))
        scores = like.new_zeros((n_inputs, *shape) if per_input else shape)
        for rows, changes in _by_rows(deltas, n_inputs):
            into = scores[rows] if per_input else scores
            for group in groups.values():
                n_sources, columns = group[0][1].n_sources, [column for column, _ in group]
                pulled = self._at_inputs(gradients, [d for _, d in group], rows)
                if per_input:
                    found = torch.einsum("ubpd,vbpd->buv", changes[:n_sources], pulled)
                else:
                    found = changes[:n_sources].flatten(1) @ pulled.flatten(1).T
                into[..., :n_sources, columns] += found
        return scores

    def _at_inputs(
        self, gradients: dict[_Key, Tensor | None], group: list[Destination], rows: slice
    ) -> Tensor:
        """Return (n_destinations, batch, position, d_model), gradients at the residual inputs of a group."""
        layer, which = group[0].layer, 2 if group[0].letter == "m" else 1
        read = self.norm_inputs[layer, which][rows]
        if group[0].letter in "mo":
            gradient = gradients[group[0].letter, layer]
            behind = torch.zeros_like(read)[None] if gradient is None else gradient[None, rows]
        else:
            behind = self._behind_norm(gradients, group, read, rows)
        with torch.enable_grad():
            x = read.detach().expand_as(behind).requires_grad_()
            y = self.anatomy.norm(layer, which).forward(x)
            (pulled,) = torch.autograd.grad(y, x, behind)
        result: Tensor = pulled
        return result

    def _behind_norm(
        self, gradients: dict[_Key, Tensor | None], group: list[Destination], read: Tensor, rows: slice
    ) -> Tensor:
        """Return gradients at the norm's output through each query, key and value of a layer alone."""
        behind = read.new_zeros((len(group), *read.shape))
        assert group[0].layer is not None
        block = self.anatomy.blocks[group[0].layer]
        first = 0
        for letter, projection in (("q", block.query), ("k", block.key), ("v", block.value)):
            count = sum(d.letter == letter for d in group)
            key = (letter, group[0].layer) if (letter, group[0].layer) in gradients else ("q", group[0].layer)
            gradient = gradients[key]
            if gradient is not None:
                projection.pull_heads(gradient[rows], self.anatomy.d_head, behind[first : first + count])
            first += count
        return behind


def _by_rows(deltas: Tensor | SourceWrites, n_inputs: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield some inputs and the changes (n_sources, inputs, position, d_model) of all sources on them."""
    if isinstance(deltas, Tensor):
        yield slice(None), deltas
        return
    count = max(1, CONTRACTION_BYTES // deltas.bytes_per_input)
    for start in range(0, n_inputs, count):
        rows = slice(start, start + count)
        yield rows, deltas.stack(rows)
