"""The circuit graph of a CNN: channel groups of one layer feed those of the next.

Sources are the channel groups ``stem.g{i}`` of the stem's output and ``{layer}.g{i}`` of the output of
every residual block, e.g. ``layer1.0.g5`` or ``stages.0.blocks.1.g2``, and of the downsampling between
stages of a ConvNeXt, ``stages.1.downsample.g0``. Destinations are the groups of every layer after the
stem, and ``logits``, which the groups of the last layer feed. An identity shortcut is part of its
block, so that it makes an edge from each group to the same group of the next layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from interp_bench.model.graph import Destination, Graph

MOST_GROUPS = 8
LEAST_CHANNELS = 3  # in a group; a layer of fewer than six channels is one group


def channel_groups(width: int) -> tuple[slice, ...]:
    """Return the channels of each group of a layer: neighbours, in groups as even as may be.

    There are eight groups, fewer in layers so narrow that a group would hold less than three channels.
    """
    count = max(1, min(MOST_GROUPS, width // LEAST_CHANNELS))
    bounds = [width * i // count for i in range(count + 1)]
    return tuple(slice(start, stop) for start, stop in pairwise(bounds))


def build_channel_graph(widths: Mapping[str, int]) -> Graph:
    """Build the graph of a CNN.

    Args:
        widths: number of channels of ``stem`` and of every layer after it, in order of depth.
    """
    sources: list[str] = []
    destinations: list[Destination] = []
    starts = [0]
    for layer, (name, width) in enumerate(widths.items()):
        names = [f"{name}.g{group}" for group in range(len(channel_groups(width)))]
        if layer > 0:
            for group, node in enumerate(names):
                destinations.append(_destination(node, "g", layer - 1, group, starts))
        sources += names
        starts.append(len(sources))
    destinations.append(_destination("logits", "o", None, None, starts))
    return Graph(sources=tuple(sources), destinations=tuple(destinations), n_roots=starts[1])


def _destination(
    name: str, letter: str, layer: int | None, group: int | None, starts: list[int]
) -> Destination:
    """Return a destination that the sources of the latest layer feed."""
    first, end = starts[-2:]
    return Destination(name=name, letter=letter, layer=layer, head=group, n_sources=end, first=first)
