"""Attention heads implanted into a host: content matches, fixed offsets, values, a random gauge."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.codes import orthonormal
from interp_bench.planting.positions import offset_weights, recency_weights
from interp_bench.planting.stream import Read, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A term ``gain * <query, key>`` of the attention logit, of reads with the same width."""

    query: Read
    key: Read
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recency:
    """A rotary term that falls by ``step`` with each position further back, from 0 at the query's own.

    Attributes:
        step: in attention logits.
        query, key: reads that are 1 where the term counts.
        length: longest distance up to which it falls.
        spared: head dimensions that it leaves to matches.
    """

    step: float
    query: Read
    key: Read
    length: int
    spared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """A rotary term that is ``gain`` higher on the position ``steps`` back than on any other.

    Attributes:
        steps: distance back.
        gain: margin in attention logits.
        constant: slot that is 1 at every position.
        length: longest distance that has to be told apart.
    """

    steps: int
    gain: float
    constant: Read
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head to implant.

    Attributes:
        matches: content terms of the attention logit.
        value: what it moves, r coordinates.
        slot: where it writes.
        map: (r, width of slot) from what was read to the code that is written.
        offset: a rotary offset term, if any.
        recency: a rotary recency term, if any.
        own: whether the host's own attention goes on beside the planted one.
    """

    matches: tuple[Match, ...] = ()
    value: Read
    slot: str
    map: Tensor
    offset: Offset | None = None
    recency: Recency | None = None
    own: bool = True


@dataclass(slots=True)
class _HeadSpace:
    """Query and key weights under construction, and the head dimensions already taken."""

    query: Tensor
    key: Tensor
    free: list[int]
    used: list[int] = field(default_factory=list)

    def take(self, count: int) -> list[int]:
        if count > len(self.free):
            raise PlantingError(f"the head needs {count} more head dimensions, {len(self.free)} are free")
        taken, self.free = self.free[:count], self.free[count:]
        self.used += taken
        return taken


def implant_head(stream: Stream, layer: int, head: int, plan: Head) -> None:
    """Write a planned head into the weights of a host; the host's own work stays on the complement.

    Query and key content goes to head dimensions that do not rotate, or rotate slowest. A random
    rotation of head space that commutes with the rotary encoding hides where it went.

    Raises:
        PlantingError: the head dimension is too small for the plan.
    """
    anatomy = stream.anatomy
    space = _head_space(stream)
    if plan.offset is not None:
        _add_offset(stream, layer, space, plan.offset)
    if plan.recency is not None:
        _add_recency(stream, layer, space, plan.recency)
    for match in plan.matches:
        _add_match(stream, layer, space, match)
    gauge = _gauge(stream)
    used = _with_partners(stream, space.used)
    off_used = torch.eye(anatomy.d_head, dtype=torch.float64) - gauge[used].T @ gauge[used]
    if not plan.own:
        off_used = torch.zeros_like(off_used)
    query, key = space.query @ gauge, space.key @ gauge
    kv = anatomy.kv_head(head)
    _blend(stream, layer, "q", head, query, off_used)
    _blend(stream, layer, "k", kv, key, off_used)
    _implant_value(stream, layer, head, kv, plan)
    stream.changed(layer, 1)


def _head_space(stream: Stream) -> _HeadSpace:
    anatomy = stream.anatomy
    zeros = torch.zeros(anatomy.d_model, anatomy.d_head, dtype=torch.float64)
    order = list(range(anatomy.d_head))
    if anatomy.rotary is not None:
        rotary = anatomy.rotary
        order = [i for i in order if i not in rotary.dims]
        slowest_first = torch.argsort(rotary.frequencies).tolist()
        for pair in slowest_first:
            order += [int(rotary.first[pair]), int(rotary.second[pair])]
    return _HeadSpace(zeros.clone(), zeros.clone(), order)


def _add_offset(stream: Stream, layer: int, space: _HeadSpace, offset: Offset) -> None:
    rotary, d_head = stream.anatomy.rotary, stream.anatomy.d_head
    if rotary is None:
        raise PlantingError("this host has learned positions; plant the offset as a match of position codes")
    amounts, margin = offset_weights(rotary.frequencies, offset.steps, offset.length)
    if margin <= 1e-6:
        raise PlantingError(f"rotary frequencies cannot tell {offset.steps} steps from the other distances")
    constant = stream.reader(layer, 1, offset.constant)[:, 0]
    for pair in torch.nonzero(amounts > 1e-6).flatten().tolist():
        first, second = int(rotary.first[pair]), int(rotary.second[pair])
        size = math.sqrt(offset.gain / margin * float(amounts[pair]) * math.sqrt(d_head))
        angle = float(rotary.frequencies[pair]) * offset.steps
        space.query[:, first] += size * math.cos(angle) * constant
        space.query[:, second] -= size * math.sin(angle) * constant
        space.key[:, first] += size * constant
        space.free = [i for i in space.free if i not in (first, second)]
        space.used += [first, second]


def _add_recency(stream: Stream, layer: int, space: _HeadSpace, recency: Recency) -> None:
    rotary, d_head = stream.anatomy.rotary, stream.anatomy.d_head
    if rotary is None:
        raise PlantingError("this host has learned positions; plant recency as a match of position ramps")
    still = d_head - 2 * len(rotary.frequencies)
    slow = max(0, math.ceil((recency.spared - still) / 2))
    order = torch.argsort(rotary.frequencies, descending=True)
    pairs = order[: len(order) - slow]
    cosine, sine, fall = recency_weights(rotary.frequencies[pairs], recency.length)
    if fall <= 1e-6:
        raise PlantingError("the rotary frequencies of this host cannot order distances in so small a head")
    query = stream.reader(layer, 1, recency.query)[:, 0]
    key = stream.reader(layer, 1, recency.key)[:, 0]
    scale = recency.step / fall * math.sqrt(d_head)
    for pair, a, b in zip(pairs.tolist(), (scale * cosine).tolist(), (scale * sine).tolist(), strict=True):
        size = math.sqrt(math.hypot(a, b))
        if size < 1e-6:
            continue
        first, second = int(rotary.first[pair]), int(rotary.second[pair])
        space.query[:, first] += a / size * query
        space.query[:, second] -= b / size * query
        space.key[:, first] += size * key
        space.free = [i for i in space.free if i not in (first, second)]
        space.used += [first, second]
    # At its own position the term is the sum of the cosines; a constant takes that off again.
    _add_dims(space, query[:, None], key[:, None], -float(scale * cosine.sum()))


def _add_match(stream: Stream, layer: int, space: _HeadSpace, match: Match) -> None:
    query = stream.reader(layer, 1, match.query)
    key = stream.reader(layer, 1, match.key)
    _add_dims(space, query, key, match.gain * math.sqrt(stream.anatomy.d_head))


def _add_dims(space: _HeadSpace, query: Tensor, key: Tensor, gain: float) -> None:
    """Add ``gain * <query, key>``, before the division by the root of d_head, in free dimensions."""
    dims = space.take(query.shape[1])
    size = math.sqrt(abs(gain))
    space.query[:, dims] += math.copysign(size, gain) * query
    space.key[:, dims] += size * key


def _gauge(stream: Stream) -> Tensor:
    """A random rotation of head space; with rotary positions one that commutes with them."""
    anatomy = stream.anatomy
    if anatomy.rotary is None:
        return orthonormal(anatomy.d_head, anatomy.d_head, stream.generator)
    count = len(anatomy.rotary.frequencies)
    angles = torch.rand(count, generator=stream.generator, dtype=torch.float64) * 2 * math.pi
    return anatomy.rotary.rotation(angles, anatomy.d_head)


def _with_partners(stream: Stream, used: list[int]) -> list[int]:
    rotary = stream.anatomy.rotary
    taken = set(used)
    if rotary is not None:
        for first, second in zip(rotary.first.tolist(), rotary.second.tolist(), strict=True):
            if first in taken or second in taken:
                taken |= {first, second}
    return sorted(taken)


def _blend(stream: Stream, layer: int, letter: str, head: int, planted: Tensor, complement: Tensor) -> None:
    """Set a projection to the planted weights plus the host's own on the complement in head space."""
    projection = stream.anatomy.projection(layer, letter, head)
    host = stream.unread(layer, 1, projection.read()) @ complement
    projection.write(host + planted)
    bias = projection.read_bias()
    if bias is not None:
        projection.write_bias(bias @ complement - stream.shift(layer, 1, planted))


def _implant_value(stream: Stream, layer: int, head: int, kv: int, plan: Head) -> None:
    anatomy = stream.anatomy
    read = stream.reader(layer, 1, plan.value)
    width = read.shape[1]
    if width > anatomy.d_head:
        raise PlantingError(f"the head moves {width} coordinates, its d_head is {anatomy.d_head}")
    place = orthonormal(anatomy.d_head, width, stream.generator)
    complement = torch.eye(anatomy.d_head, dtype=torch.float64) - place @ place.T
    _blend(stream, layer, "v", kv, read @ place.T, complement)
    out = anatomy.blocks[layer].out
    rows = anatomy.out_rows(layer, head)
    rows = complement @ rows + place @ stream.vectors(plan.slot, plan.map)
    out.write_rows(head * anatomy.d_head, rows)
