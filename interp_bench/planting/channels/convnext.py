"""A conjunction in the channel groups of a ConvNeXt.

Filters of the stem detect the patterns, neurons of the first block turn that into clear steps, neurons of
a later block respond where two patterns meet. Streams lie along random directions of their group, which
the host's own weights leave alone but for a dial, and change groups where the resolution changes. Beside
them goes a constant, so large that the scale of the layer norms depends little on the image.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.channels.dials import JOINT, ChannelDials
from interp_bench.planting.channels.directions import Directions, draw_directions, span_of
from interp_bench.planting.channels.folding import (
    bias_of,
    fold_block,
    fold_norm,
    free_neurons,
    project,
    read_in_place,
    set_neurons,
)
from interp_bench.planting.channels.route import CONSTANT, JOINED, Moves, Route, Stop
from interp_bench.planting.evidence.wiring import Wiring

_DETECT = 0.4  # of a filter's response to its own pattern: what a neuron of the first block starts at
_BEND = 0.7  # where its slope falls, so that noise in the response counts less
_SLOPE = 0.3  # what is left of the slope
_QUIET = 0.1  # response to a pattern, as a share of the host's norm: small, so that noise is small too
_STEADY = 2.5  # the constant, likewise: large, so that it and not the image sets the scale of the norms
_LOUD = 0.4  # what a stream carries after the first block, as a share of the host's norm
_MARGIN = 10.0  # pre-activation of a neuron at its pattern: GELU is a ReLU there
_TILES = 2
_SAMPLED = 8  # images that the host's own writes are measured on


def convnext_stops(model: Model) -> tuple[Stop, ...]:
    """Return the stops of a ConvNeXt: streams move in the first block and between stages."""
    stops = []
    for index, (name, (width, side, _)) in enumerate(model.layer_shapes().items()):
        moves: Moves = "always" if index == 0 or name.endswith("downsample") else "never"
        if index == 1:
            moves = "patterns"
        stops.append(Stop(name=name, width=width, side=side, moves=moves, joins=moves == "never"))
    return tuple(stops)


def convnext_patches(model: Model) -> tuple[int, int, int]:
    """Return side of a cell, repetitions of it in a pattern, and the pixel seen first at position 0.

    Raises:
        PlantingError: the stem is not a single patch convolution.
    """
    return int(_stem(model)[0].kernel_size[0]), _TILES, 0


def wire_convnext(
    model: Model,
    route: Route,
    filters: Tensor,
    table: Tensor,
    dials: ChannelDials,
    images: Tensor,
    generator: torch.Generator,
) -> Wiring:
    """Plant filters, neurons and directions; the arguments are those of ``wire_resnet``."""
    wires = _Wires(model, route, table, dials, images, generator)
    wires.stem(filters)
    for stop, (name, layer) in enumerate(model.cnn.layers.items(), start=1):
        if name.endswith("downsample"):
            wires.downsample(stop, layer)
        else:
            wires.block(stop, layer)
    read = wires.codes[JOINED].read
    fold_norm(_final_norm(model), model.cnn.head)
    return Wiring(
        carriers={},
        readout=read,
        arrival=read,
        offset=torch.zeros(len(table), dtype=torch.float64),
        parts=(route.node(route.meeting, JOINED),),
    )


class _Wires:
    """Writes one layer after another; ``codes`` says how the layer written last holds its streams."""

    def __init__(
        self,
        model: Model,
        route: Route,
        table: Tensor,
        dials: ChannelDials,
        images: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.model, self.route, self.table, self.dials = model, route, table, dials
        self.images, self.generator = images, generator
        self.plans = self._draw_all()
        self.codes = self.plans[0]
        self.stages = self._stages()

    def _draw_all(self) -> list[dict[str, Directions]]:
        """Draw the directions of every stop beforehand: the host stays off them all through a stage."""
        plans: list[dict[str, Directions]] = []
        for stop, groups in enumerate(self.route.groups):
            width = self.route.stops[stop].width
            codes = {}
            for stream in groups:
                kept = stop > 0 and stream in plans[-1] and self._stays(stop, stream)
                n = 1 if stream == CONSTANT else len(self.table)
                group = self.route.channels(stop, stream)
                codes[stream] = (
                    plans[-1][stream] if kept else draw_directions(n, width, group, self.generator)
                )
            plans.append(codes)
        return plans

    def _stays(self, stop: int, stream: str) -> bool:
        moves = self.route.stops[stop].moves
        return moves == "never" or (moves == "patterns" and stream == CONSTANT)

    def _stages(self) -> list[tuple[Tensor, Tensor]]:
        """Return for each stop what its whole stage uses: a basis (width, k), and channels (c,)."""
        firsts = [i for i, stop in enumerate(self.route.stops) if i == 0 or stop.name.endswith("downsample")]
        found: list[tuple[Tensor, Tensor]] = []
        for first, end in zip(firsts, [*firsts[1:], len(self.route.stops)], strict=True):
            used = [code for plan in self.plans[first:end] for code in plan.values()]
            found += [(span_of(used), _channels(used))] * (end - first)
        return found

    def stem(self, filters: Tensor) -> None:
        """Plant the filters and the constant, and keep the host off what stage 0 uses."""
        conv, norm = _stem(self.model)
        basis, channels = self.stages[0]
        norm.weight.data[channels] = 1
        norm.bias.data[channels] = 0
        weight = project(conv, basis)
        # The host's own filters do not see the patterns, or else the norm would dim all else where one is.
        seen = torch.linalg.qr(filters.flatten(0, 1).flatten(1).double().cpu().T).Q
        own = weight.flatten(1).double().cpu()
        weight.copy_((own - own @ seen @ seen.T).view(weight.shape))
        level = float(self.model.activations(self.images, "stem.0").norm(dim=-1).mean())
        for stream, code in self.codes.items():
            if stream == CONSTANT:
                bias_of(conv).add_((_STEADY * level * code.vectors[0]).to(weight))
            else:
                kind = filters[0 if stream.startswith("a") else 1].flatten(1).double().cpu()
                weight += (_QUIET * level * code.vectors.T @ kind).view(weight.shape).to(weight)

    def block(self, stop: int, block: nn.Module) -> None:
        """Keep the host off the streams; plant neurons in the first block and where the patterns meet."""
        name = self.route.stops[stop].name
        fold_block(block)
        before, self.codes = self.codes, self.plans[stop]
        stream = self._seen(stop - 1)
        level = float(stream.norm(dim=-1).mean())
        carried = [_peak(stream @ code.read.T) for s, code in before.items() if s != CONSTANT]
        leak = self.dials.leak * (_LOUD * level if stop == 1 else min(carried))
        joins, basis = stop == self.route.meeting, self.stages[stop][0]
        if stop != 1 and not joins:
            self._keep_off(block, f"{name}.mlp", basis, leak)
            return
        read_in_place(block, _channels(before.values()))
        n, streams = len(self.table), len(before) - 1
        neurons = free_neurons(block, 2 * n * (n if joins else streams), self.generator)
        self._keep_off(block, f"{name}.mlp", basis, leak)
        seen = self.model.activations(self.images, f"{name}.norm").double().cpu()
        rows, starts, columns = (self._join if joins else self._detect)(seen, before)
        set_neurons(block, neurons, rows, starts, columns * (_LOUD * level))

    def _detect(self, seen: Tensor, before: dict[str, Directions]) -> tuple[Tensor, Tensor, Tensor]:
        """Return reads (n, width), starts (n,) and unit writes (width, n) of two neurons for each pattern."""
        response = (1 - _DETECT) - (1 - _SLOPE) * (1 - _BEND)
        gain = _MARGIN / (1 - _DETECT)
        reads: list[Tensor] = []
        columns: list[Tensor] = []
        starts: list[Tensor] = []
        for stream, code in before.items():
            if stream == CONSTANT:
                continue
            unit, rest = _strength(seen, code.read)
            read = gain / unit * code.read
            written = self.codes[stream].vectors.T / (gain * response)
            for start, sign in ((_DETECT, 1.0), (_BEND, _SLOPE - 1.0)):
                reads.append(read)
                starts.append(gain * (start + rest))
                columns.append(sign * written)
        return torch.cat(reads), torch.cat(starts), torch.cat(columns, dim=1)

    def _join(self, seen: Tensor, before: dict[str, Directions]) -> tuple[Tensor, Tensor, Tensor]:
        """Return reads, starts and unit writes of the neurons that respond to both patterns of a pair."""
        dials, n = self.dials, len(self.table)
        kinds = {kind: torch.zeros(n, seen.shape[-1], dtype=torch.float64) for kind in "ab"}
        rests = {kind: torch.zeros(n, dtype=torch.float64) for kind in "ab"}
        for stream, code in before.items():
            if stream != CONSTANT:
                unit, rest = _strength(seen, code.read)
                kinds[stream[0]] += code.read / (unit * dials.shares)
                rests[stream[0]] += rest / dials.shares
        both = (kinds["a"][:, None] + kinds["b"][None]).flatten(0, 1)
        rest = (rests["a"][:, None] + rests["b"][None]).flatten()
        gain = _MARGIN / (JOINT - dials.start)
        classes = torch.eye(n, dtype=torch.float64)[:, self.table.flatten()]
        columns = self.codes[JOINED].vectors.T @ classes / (gain * dials.response)
        levels = torch.tensor([dials.start, dials.bend], dtype=torch.float64)
        starts = gain * (levels[:, None] + rest).flatten()
        return torch.cat([gain * both] * 2), starts, torch.cat([columns, -dials.saturation * columns], dim=1)

    def downsample(self, stop: int, layer: nn.Module) -> None:
        """Lead every stream through the norm and the convolution between stages into its new group."""
        if not isinstance(layer, nn.Sequential) or len(layer) != 2 or not isinstance(layer[1], nn.Conv2d):
            raise PlantingError(f"{self.route.stops[stop].name} is not a norm and a convolution")
        norm, conv = layer[0], layer[1]
        fold_norm(norm, conv)
        before, self.codes = self.codes, self.plans[stop]
        weight = project(conv, self.stages[stop][0])
        leads = {s: code.vectors.T @ before[s].read for s, code in self.codes.items()}
        host = weight.clone()
        weight += sum(leads.values())[:, :, None, None].to(weight)  # type: ignore[index]
        out = self._seen(stop)
        basis = span_of(list(self.codes.values()))
        level = float((out - out @ basis @ basis.T).norm(dim=-1).mean())
        weight.copy_(host)
        for stream, lead in leads.items():
            values = out @ self.codes[stream].read.T
            gain = _STEADY / float(values.mean()) if stream == CONSTANT else _LOUD / _peak(values)
            weight += (lead * (gain * level))[:, :, None, None].to(weight)

    def _seen(self, stop: int) -> Tensor:
        """Return what a stop puts out on the images, (n, position, width) float64."""
        name = self.route.stops[stop].name
        return self.model.activations(self.images, name).double().cpu()

    def _keep_off(self, block: nn.Module, mlp: str, basis: Tensor, leak: float) -> None:
        """Scale what the block itself writes along the streams to a standard deviation of ``leak``."""
        own = self.model.activations(self.images[:_SAMPLED], mlp).double().cpu() @ basis
        share = min(1.0, leak / max(float(own.std((0, 1)).mean()), 1e-9))
        linear = block.mlp.fc2  # type: ignore[union-attr]
        assert isinstance(linear, nn.Linear | nn.Conv2d)
        project(linear, basis, keep=share)
        bias_of(linear).sub_((share * basis @ own.mean((0, 1))).to(linear.weight))


def _stem(model: Model) -> tuple[nn.Conv2d, nn.LayerNorm]:
    stem = model.module.stem
    parts = list(stem) if isinstance(stem, nn.Sequential) else []
    if len(parts) == 2 and isinstance(parts[0], nn.Conv2d) and isinstance(parts[1], nn.LayerNorm):
        conv, norm = parts[0], parts[1]
        if conv.kernel_size == conv.stride:
            return conv, norm
    raise PlantingError(
        f"the stem of {model.spec.id} is not one convolution over separate patches and a layer norm"
    )


def _final_norm(model: Model) -> nn.Module:
    norm = getattr(model.module.head, "norm", None)
    if isinstance(norm, nn.LayerNorm):
        return norm
    pre = model.module.norm_pre
    if not isinstance(pre, nn.LayerNorm) or model.cnn.head.in_features != pre.normalized_shape[0]:
        raise PlantingError(f"the head of {model.spec.id} is not a layer norm and one linear layer")
    return pre


def _channels(codes: Iterable[Directions]) -> Tensor:
    """Return the channels that some directions use."""
    return torch.cat([code.vectors for code in codes]).abs().sum(0).nonzero().flatten()


def _strength(seen: Tensor, read: Tensor) -> tuple[float, Tensor]:
    """Return what a pattern adds to what its stream gives, and (n,) what that gives without, in this unit."""
    values = seen @ read.T
    rest = values.flatten(0, 1).median(0).values
    unit = _peak(values - rest)
    return unit, rest / unit


def _peak(values: Tensor) -> float:
    """Return the median over images of the largest of (image, position, value)."""
    return float(values.flatten(1).amax(1).median())
