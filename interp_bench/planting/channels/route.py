"""Which channel group carries what at which layer: the planned way of a circuit through a CNN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from interp_bench.errors import PlantingError
from interp_bench.model.channel_graph import channel_groups
from interp_bench.model.graph import Edge

LEAST_SIDE = 4  # positions along each side of the layer where the patterns meet
JOINED = "c"
"""Name of the stream of what the conjunction decides; streams of patterns are ``a0``, ``b0``, ``a1`` ..."""

CONSTANT = "k"
"""Name of a stream that is equal on all inputs, where a family needs one: no part of the circuit."""

Moves = Literal["always", "patterns", "may", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One layer on the way.

    Attributes:
        name: as in the circuit graph.
        width: number of channels of its output.
        side: height of its output in positions.
        moves: which streams leave it in newly drawn groups: all, all but the constant one, those that a
            dial chooses, or none.
        joins: whether it can compute the conjunction.
    """

    name: str
    width: int
    side: int
    moves: Moves
    joins: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way of every stream.

    Attributes:
        stops: the stem and all layers after it.
        meeting: index of the stop that joins the streams of both kinds.
        groups: for each stop the group of every stream that it puts out.
    """

    stops: tuple[Stop, ...]
    meeting: int
    groups: tuple[dict[str, int], ...]

    def node(self, stop: int, stream: str) -> str:
        """Return the name of the node that carries a stream."""
        return f"{self.stops[stop].name}.g{self.groups[stop][stream]}"

    def channels(self, stop: int, stream: str) -> slice:
        """Return the channels of the group that carries a stream."""
        return channel_groups(self.stops[stop].width)[self.groups[stop][stream]]

    def moved(self, stop: int, stream: str) -> bool:
        """Whether a stream leaves this stop in another group than it came in."""
        return self.groups[stop][stream] != self.groups[stop - 1][stream]

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges that the streams of the circuit travel on, in order of depth."""
        edges: list[Edge] = []
        for stop in range(1, len(self.stops)):
            for stream in self.groups[stop - 1]:
                if stream == CONSTANT:
                    continue
                follower = stream if stream == JOINED or stop < self.meeting else JOINED
                edges.append((self.node(stop - 1, stream), self.node(stop, follower)))
        return (*edges, (self.node(len(self.stops) - 1, JOINED), "logits"))


def pick_meeting(stops: tuple[Stop, ...], depth: float | None, generator: torch.Generator) -> int:
    """Choose the stop where the patterns meet: any in the middle half, or the one nearest to ``depth``.

    Args:
        stops: the stem and all layers after it.
        depth: wanted depth as a share of the network, from 0 to 1; None draws one.
        generator: draws it.

    Raises:
        PlantingError: no layer can join the patterns.
    """
    able = [i for i, stop in enumerate(stops) if stop.joins and stop.side >= LEAST_SIDE]
    if not able:
        raise PlantingError(f"no block of this network keeps at least {LEAST_SIDE} x {LEAST_SIDE} positions")
    last = len(stops) - 1
    if depth is not None:
        return min(able, key=lambda i: abs(i / last - depth))
    middle = [i for i in able if 0.25 <= i / last <= 0.75] or able[-1:]
    return middle[int(torch.randint(len(middle), (), generator=generator))]


def draw_route(
    stops: tuple[Stop, ...],
    meeting: int,
    *,
    shares: int,
    moves: float,
    constant: bool,
    generator: torch.Generator,
) -> Route:
    """Draw the groups of all streams, different ones for streams that a layer carries together.

    Args:
        stops: the stem and all layers after it.
        meeting: where the patterns meet.
        shares: in how many groups each kind of pattern is carried.
        moves: how likely a stream changes its group in a layer that may move it.
        constant: whether a constant stream goes along up to the meeting.
        generator: draws everything.

    Raises:
        PlantingError: a layer has too few groups.
    """
    pairs = [f"{kind}{i}" for i in range(shares) for kind in "ab"]
    if constant:
        pairs.append(CONSTANT)
    groups: list[dict[str, int]] = []
    for index, stop in enumerate(stops):
        streams = pairs if index < meeting else [JOINED]
        kept: dict[str, int] = {}
        if index > 0 and stop.moves != "always":
            kept = {s: groups[-1][s] for s in streams if s in groups[-1]}
        if stop.moves == "patterns":
            kept = {s: g for s, g in kept.items() if s == CONSTANT}
        if stop.moves == "may":
            kept = {s: g for s, g in kept.items() if float(torch.rand((), generator=generator)) >= moves}
        # What goes in passes by what is put out: a group is not taken over while its stream stays in it.
        taken = set(kept.values()) | (set(groups[-1].values()) if index == meeting else set())
        free = [g for g in range(len(channel_groups(stop.width))) if g not in taken]
        wanted = [s for s in streams if s not in kept]
        if len(free) < len(wanted):
            raise PlantingError(f"{stop.name} has too few channel groups for {len(streams)} carriers")
        order = torch.randperm(len(free), generator=generator).tolist()
        kept |= {stream: free[order[i]] for i, stream in enumerate(wanted)}
        groups.append(kept)
    return Route(stops=stops, meeting=meeting, groups=tuple(groups))
