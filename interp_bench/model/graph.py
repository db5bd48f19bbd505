"""The circuit graph of a network: which node can feed which input of which other node.

The graph of a CNN is built in ``channel_graph``. In a transformer, sources are ``input``, the heads
``a{l}.h{h}`` and the MLPs ``m{l}``; destinations are the query, key and value inputs of heads
``a{l}.h{h}<q>``, the MLPs and ``logits``. Under grouped-query attention ``<k>`` and ``<v>`` exist once
per key/value head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import SiteError, near_name
from interp_bench.model.transformer import TransformerAnatomy

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One input of a node.

    Attributes:
        name: ``a{l}.h{h}<q|k|v>``, ``m{l}``, ``logits``, or a channel group of a CNN.
        letter: ``q``, ``k``, ``v``, ``m`` (an MLP), ``g`` (a channel group) or ``o`` (the logits).
        layer: layer; None for the logits.
        head: query head for ``q``, key/value head for ``k`` and ``v``, group for ``g``, else None.
        n_sources: how many sources, counted from the first, come before this destination.
        first: the first of them that feeds it; in a CNN only those of the layer before do.
    """

    name: str
    letter: str
    layer: int | None
    head: int | None
    n_sources: int
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """All nodes and edges.

    Attributes:
        sources: names, in order of computation.
        destinations: in order of computation.
        n_roots: how many of the first sources depend on the inputs alone: ``input`` of a transformer,
            the channel groups of the stem of a CNN.
    """

    sources: tuple[str, ...]
    destinations: tuple[Destination, ...]
    n_roots: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """(n_sources, n_destinations), the shape of edge scores and of masks over edges."""
        return len(self.sources), len(self.destinations)

    @property
    def valid(self) -> Tensor:
        """(n_sources, n_destinations) bool: where an edge exists."""
        order = torch.arange(len(self.sources))[:, None]
        before = order < torch.tensor([d.n_sources for d in self.destinations])
        return before & (order >= torch.tensor([d.first for d in self.destinations]))

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return sum(d.n_sources - d.first for d in self.destinations)

    def edges(self) -> list[Edge]:
        """Return all edges as (source, destination) names."""
        return [(source, d.name) for d in self.destinations for source in self.sources[d.first : d.n_sources]]

    def index(self, edge: Edge) -> tuple[int, int]:
        """Return the row and column of an edge.

        Raises:
            SiteError: the graph has no such edge.
        """
        names = [d.name for d in self.destinations]
        source, destination = edge
        if source not in self.sources:
            raise SiteError(f"{source!r} is no source of this graph{near_name(source, self.sources)}")
        if destination not in names:
            raise SiteError(f"{destination!r} is no destination of this graph{near_name(destination, names)}")
        row, column = self.sources.index(source), names.index(destination)
        if row >= self.destinations[column].n_sources:
            raise SiteError(f"{source!r} is computed after {destination!r}: no edge joins them")
        if row < self.destinations[column].first:
            raise SiteError(f"{source!r} is not in the layer before {destination!r}: no edge joins them")
        return row, column

    def mask(self, edges: list[Edge]) -> Tensor:
        """Return a (n_sources, n_destinations) bool mask that is True on these edges."""
        mask = torch.zeros(self.shape, dtype=torch.bool)
        for edge in edges:
            mask[self.index(edge)] = True
        return mask


def build_graph(anatomy: TransformerAnatomy) -> Graph:
    """Build the graph of a transformer; attention and MLP of parallel blocks do not feed each other."""
    sources = ["input"]
    destinations: list[Destination] = []

    def add(name: str, letter: str, layer: int | None, head: int | None, seen: int) -> None:
        destinations.append(Destination(name=name, letter=letter, layer=layer, head=head, n_sources=seen))

    for layer in range(len(anatomy.blocks)):
        before = len(sources)
        for letter, count in (("q", anatomy.n_heads), ("k", anatomy.n_kv_heads), ("v", anatomy.n_kv_heads)):
            for head in range(count):
                add(f"a{layer}.h{head}<{letter}>", letter, layer, head, before)
        sources += [f"a{layer}.h{head}" for head in range(anatomy.n_heads)]
        add(f"m{layer}", "m", layer, None, before if anatomy.parallel else len(sources))
        sources.append(f"m{layer}")
    add("logits", "o", None, None, len(sources))
    return Graph(sources=tuple(sources), destinations=tuple(destinations))
