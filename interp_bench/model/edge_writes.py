"""What the sources of a circuit graph write in one run, in the form that takes least memory.

Heads are kept as what goes into their output weights, ``n_heads`` times smaller than what they write
into the residual stream; what they write is formed for some inputs at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from interp_bench.model.channel_edges import channel_rows
from interp_bench.model.handle import Model
from interp_bench.model.hooks import hooked
from interp_bench.model.transformer import TransformerAnatomy
from interp_bench.model.vision import ConvAnatomy

Hooks = list[tuple[nn.Module, Any, Callable[[Tensor], Tensor | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWrites:
    """What every source writes, layer of sources by layer of sources.

    Attributes:
        model: the network.
        parts: in order of computation; the first is written by the roots of the graph. Of a
            transformer: ``input`` (batch, position, d_model), ``a{l}`` (batch, position, n_heads *
            d_head), what goes into the output weights, and ``m{l}`` (batch, position, d_model). Of a
            CNN: ``0`` for the stem and ``1`` on for the layers, (batch, channel, height, width).
    """

    model: Model
    parts: Mapping[str, Tensor]

    def __sub__(self, other: SourceWrites) -> SourceWrites:
        """Return how this run differs from another one."""
        return SourceWrites(
            model=self.model, parts={name: value - other.parts[name] for name, value in self.parts.items()}
        )

    def between(self, other: SourceWrites, share: float, name: str) -> Tensor:
        """Return the part ``name``, moved towards that of another run by a share of the way."""
        return torch.lerp(self.parts[name], other.parts[name], share)

    @property
    def root(self) -> str:
        """Name of the part that the inputs alone decide."""
        return next(iter(self.parts))

    @property
    def batch_size(self) -> int:
        """Number of inputs of the run."""
        return len(self.parts[self.root])

    @property
    def bytes_per_input(self) -> int:
        """Bytes that ``stack`` takes for one input."""
        first = self.parts[self.root]
        return len(self.model.graph.sources) * first[0].numel() * first.element_size()

    def rows(self, name: str) -> slice:
        """Return the rows of the graph that a part belongs to."""
        start = 0
        for part in self.parts:
            length = self._n_sources(part)
            if part == name:
                return slice(start, start + length)
            start += length
        raise KeyError(name)

    def stack(self, batch: slice = slice(None)) -> Tensor:
        """Return (n_sources, batch, position, d_model), what each source writes, for some inputs.

        The sum over sources (and output biases) is the input of the final norm. For a CNN
        (n_sources, batch, 1, width), the values of each channel group, flattened and padded with zeros.
        """
        if isinstance(self.model.anatomy, ConvAnatomy):
            return channel_rows([value[batch] for value in self.parts.values()])
        anatomy = self.model.transformer
        out = self.parts[self.root].new_empty(
            (len(self.model.graph.sources), *self.parts[self.root][batch].shape)
        )
        first = 0
        for name, value in self.parts.items():
            length = self._n_sources(name)
            into = out[first : first + length]
            if name[0] == "a":
                weight = (
                    anatomy.blocks[int(name[1:])].out.view().unflatten(0, (anatomy.n_heads, anatomy.d_head))
                )
                by_head = value[batch].flatten(0, 1).unflatten(-1, (anatomy.n_heads, anatomy.d_head))
                torch.bmm(by_head.transpose(0, 1), weight, out=into.flatten(1, 2))
            else:
                into.copy_(value[batch])
            first += length
        return out

    def _n_sources(self, name: str) -> int:
        if isinstance(self.model.anatomy, ConvAnatomy):
            layers = {d.first: d.n_sources - d.first for d in self.model.graph.destinations}
            return list(layers.values())[int(name)]
        return self.model.transformer.n_heads if name[0] == "a" else 1


def head_results(anatomy: TransformerAnatomy, layer: int, z: Tensor) -> Tensor:
    """Return (n_heads, batch, position, d_model): ``z @ W_O`` of each head, bias left out."""
    per_head = z.unflatten(-1, (anatomy.n_heads, anatomy.d_head))
    weight = anatomy.blocks[layer].out.view().unflatten(0, (anatomy.n_heads, anatomy.d_head))
    return torch.einsum("bphc,hcd->hbpd", per_head, weight)


@dataclass(slots=True)
class WriteRecorder:
    """Records what all sources write during one forward, and can make some of them write other values.

    Attributes:
        held: part name -> what these sources write instead; gradients start or pass there.
    """

    model: Model
    held: Mapping[str, Tensor] = field(default_factory=dict)
    found: dict[str, Tensor] = field(default_factory=dict)

    def hooks(self) -> Hooks:
        """Return the hooks to install."""
        if isinstance(self.model.anatomy, ConvAnatomy):
            layers = list(self.model.cnn.layers.values())
            found: Hooks = [(layers[0], "in", partial(self._keep, "0"))]
            return found + [(x, "out", partial(self._keep, str(i))) for i, x in enumerate(layers, start=1)]
        blocks = self.model.transformer.blocks
        found = [(blocks[0].module, "in", partial(self._keep, "input"))]
        for layer, block in enumerate(blocks):
            found.append((block.out.module, "in", partial(self._keep, f"a{layer}")))
            found.append((block.mlp, "out", partial(self._keep, f"m{layer}")))
        return found

    def _keep(self, name: str, value: Tensor) -> Tensor | None:
        held = self.held.get(name)
        self.found[name] = (value if held is None else held).detach()
        if held is None or held.requires_grad:
            return held
        return held.detach().requires_grad_(torch.is_grad_enabled())

    def writes(self) -> SourceWrites:
        """Return what was recorded, in order of computation."""
        names = [name for name in self._order() if name in self.found]
        return SourceWrites(model=self.model, parts={name: self.found[name] for name in names})

    def _order(self) -> list[str]:
        if isinstance(self.model.anatomy, ConvAnatomy):
            return [str(i) for i in range(len(self.model.cnn.layers) + 1)]
        layers = range(len(self.model.transformer.blocks))
        return ["input", *(f"{kind}{layer}" for layer in layers for kind in "am")]


def record_writes(model: Model, inputs: Tensor) -> SourceWrites:
    """Run the model without gradient and return what every source writes; one forward."""
    recorder = WriteRecorder(model)
    with torch.no_grad(), hooked(recorder.hooks()):
        model(inputs)
    return recorder.writes()
