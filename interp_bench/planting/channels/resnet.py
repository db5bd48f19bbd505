"""A conjunction in the channel groups of a ResNet.

Filters of the stem and the thresholds of its batch norm detect the patterns. What they detect is never
negative, so that it passes ReLUs unchanged, along identity shortcuts or, where a block moves it, through
hidden channels that copy it into other groups and take it off the shortcut.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.channels.blocks import Rewrite, layers_of, pass_through
from interp_bench.planting.channels.dials import ChannelDials
from interp_bench.planting.channels.route import JOINED, Moves, Route, Stop
from interp_bench.planting.evidence.wiring import Wiring

_DETECT = 0.4  # of a filter's response to its own pattern
_FAINT = 0.1  # strength below which a block that moves a stream drops it: what blocks leak onto it adds up
_LEAST_KERNEL = 5
_SAMPLED = 8  # images that the host's own writes are measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """How one group holds one stream: ``x[channels] = mixing @ values``.

    Attributes:
        channels: (k,) channels.
        mixing: (k, n_values), not negative.
    """

    channels: Tensor
    mixing: Tensor

    def read(self, width: int) -> Tensor:
        """Return (n_values, width), what gives the values of the stream."""
        rows = torch.zeros(self.mixing.shape[1], width, dtype=torch.float64)
        rows[:, self.channels] = torch.linalg.pinv(self.mixing)
        return rows

    def write(self, width: int) -> Tensor:
        """Return (width, n_values), what the values put into the channels."""
        columns = torch.zeros(width, self.mixing.shape[1], dtype=torch.float64)
        columns[self.channels] = self.mixing
        return columns


def resnet_stops(model: Model) -> tuple[Stop, ...]:
    """Return the stops of a ResNet: blocks with an identity shortcut may move streams, others must."""
    stops = []
    for name, (width, side, _) in model.layer_shapes().items():
        block = model.cnn.layers.get(name)
        identity = block is not None and getattr(block, "downsample", None) is None
        moves: Moves = "may" if identity else "always"
        stops.append(Stop(name=name, width=width, side=side, moves=moves, joins=identity))
    return tuple(stops)


def resnet_patches(model: Model) -> tuple[int, int, int]:
    """Return side of a cell, repetitions of it in a pattern, and the pixel seen first at position 0.

    Raises:
        PlantingError: the stem is not a single large convolution, pooled by 3 x 3 or not at all.
    """
    conv, pool = _stem(model), model.module.maxpool
    if not isinstance(pool, nn.MaxPool2d) or (pool.kernel_size, pool.stride, pool.padding) != (3, 2, 1):
        raise PlantingError(f"the stem of {model.spec.id} is not followed by max pooling of 3 x 3 pixels")
    # The pooling copies every other position once: patterns are aligned with those.
    return int(conv.kernel_size[0]), 1, -int(conv.padding[0])


def wire_resnet(
    model: Model,
    route: Route,
    filters: Tensor,
    table: Tensor,
    dials: ChannelDials,
    images: Tensor,
    generator: torch.Generator,
) -> Wiring:
    """Plant detectors, the way of all streams and the conjunction.

    Args:
        model: the network; its weights are edited in place.
        route: the way of all streams.
        filters: (2, n_values, 3, cell, cell), response 1 to their own pattern.
        table: (n_values, n_values), class of each pair of patterns.
        dials: how hard to find it is.
        images: images like those that will be shown.
        generator: draws channels and mixtures.
    """
    wires = _Wires(model, route, table, dials, images[:_SAMPLED], generator)
    wires.stem(filters)
    for stop, block in enumerate(model.cnn.layers.values(), start=1):
        wires.block(stop, block)
    (code,) = wires.codes.values()
    features = model.cnn.head.in_features
    return Wiring(
        carriers={},
        readout=code.read(features),
        arrival=code.write(features).T.contiguous(),
        offset=torch.zeros(len(table), dtype=torch.float64),
        parts=(route.node(route.meeting, JOINED),),
    )


def _stem(model: Model) -> nn.Conv2d:
    conv = model.module.conv1
    if not isinstance(conv, nn.Conv2d) or int(conv.kernel_size[0]) < _LEAST_KERNEL:
        raise PlantingError(f"the stem of {model.spec.id} is not one convolution of at least 5 x 5 pixels")
    return conv


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
        self.codes: dict[str, _Code] = {}

    def stem(self, filters: Tensor) -> None:
        """Plant the detectors, a channel for each pattern, with the threshold in the batch norm."""
        conv, norm = _stem(self.model), self.model.module.bn1
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        for stream in self.route.groups[0]:
            code = self._draw(0, stream, mixing=0.0)
            kind = filters[0 if stream.startswith("a") else 1]
            conv.weight.data[code.channels] = (
                (code.mixing.float() @ kind.flatten(1)).view_as(kind).to(conv.weight)
            )
            if isinstance(conv.bias, Tensor):
                conv.bias.data[code.channels] = 0
            pass_through(norm, code.channels, gain=1 / (1 - _DETECT))
            norm.running_mean[code.channels] = _DETECT
            self.codes[stream] = code

    def block(self, stop: int, block: nn.Module) -> None:
        """Lead every stream through one block, or join them there."""
        rewrite = Rewrite(block, self.route.stops[stop - 1].width, self.route.stops[stop].width)
        before, self.codes = self.codes, {}
        if stop == self.route.meeting:
            self._join(stop, rewrite, before)
        else:
            for stream, code in before.items():
                if rewrite.identity and not self.route.moved(stop, stream):
                    self.codes[stream] = code
                    continue
                new = self._draw(stop, stream, mixing=self.dials.mixing)
                hidden = rewrite.read(code.read(rewrite.n_in), threshold=_FAINT)
                rewrite.write(hidden, new.write(rewrite.n_out) / (1 - _FAINT))
                rewrite.clear(code.channels, new.channels)
                self.codes[stream] = new
        staying = [code.channels for stream, code in self.codes.items() if before.get(stream) is code]
        if staying:
            self._leak(stop, block, torch.cat(staying))
        rewrite.apply(self.generator)

    def _join(self, stop: int, rewrite: Rewrite, before: dict[str, _Code]) -> None:
        """Compute for each pair of patterns whether both are there, and add up the pairs of each class."""
        dials, n = self.dials, len(self.table)
        reads = {stream: code.read(rewrite.n_in) / dials.shares for stream, code in before.items()}
        kinds = [sum(r for s, r in reads.items() if s.startswith(kind)) for kind in "ab"]
        both = (kinds[0][:, None] + kinds[1][None]).flatten(0, 1)  # type: ignore[index]
        new = self._draw(stop, JOINED, mixing=dials.mixing)
        classes = torch.eye(n, dtype=torch.float64)[:, self.table.flatten()] / dials.response
        onset = rewrite.read(both, threshold=dials.start)
        knee = rewrite.read(both, threshold=dials.bend)
        columns = new.write(rewrite.n_out) @ classes
        rewrite.write(onset, columns)
        rewrite.write(knee, -dials.saturation * columns)
        rewrite.clear(new.channels, *(code.channels for code in before.values()))
        self.codes = {JOINED: new}

    def _draw(self, stop: int, stream: str, *, mixing: float) -> _Code:
        n, group = len(self.table), self.route.channels(stop, stream)
        size = group.stop - group.start
        if size < n:
            name = self.route.stops[stop].name
            raise PlantingError(f"{name} has groups of {size} channels; {n} patterns of a kind need {n}")
        channels = group.start + torch.randperm(size, generator=self.generator)[:n]
        mixed = mixing * torch.rand(n, n, generator=self.generator, dtype=torch.float64)
        return _Code(channels=channels, mixing=mixed.fill_diagonal_(1.0))

    def _leak(self, stop: int, block: nn.Module, channels: Tensor) -> None:
        """Scale what the block itself writes to carriers down to ``leak``, without a mean."""
        index, (_, norm) = len(layers_of(block)), layers_of(block)[-1]
        assert isinstance(norm, nn.BatchNorm2d)
        written = self.model.activations(self.images, f"{self.route.stops[stop].name}.bn{index}")
        own = written[..., channels.to(written.device)]
        # A channel that the block does not write to at all stays so.
        share = self.dials.leak / own.std((0, 1)).clamp_min(1e-6)
        share = share.clamp(max=1.0)
        norm.weight.data[channels] *= share
        norm.bias.data[channels] = (norm.bias.data[channels] - own.mean((0, 1))) * share
