"""Hold the norms of a host steady: a large constant direction, which the host itself does not see.

A read through a norm is divided by the scale of the whole residual stream, which strays from input
to input. A constant that is ``strength`` times as large as the host's stream makes that straying
about ``1 + strength ** 2`` times smaller. The gains of the norms rise by as much as the constant
lowers what the host reads, so that the host goes on as before.
"""

from __future__ import annotations

import math

from torch import Tensor

from interp_bench.model.projection import matrix, weight_of
from interp_bench.model.transformer import norm_scale
from interp_bench.planting.removal import remove
from interp_bench.planting.stream import Positions, Stream

_Key = tuple[int | None, int]


class Anchor:
    """A large constant in a one-dimensional slot, written at every position when it is made.

    The gains of the norms are set by ``settle``, in order of depth and as late as may be, since what
    a host writes depends on the gains and the planted parts before it.

    Args:
        stream: the reserved subspace; nothing may have been read through its norms yet.
        slot: the slot; its code reads as 1.
        strength: size of the constant over the largest scale of the host's stream at any depth.
        positions: positions at which scales are measured.
    """

    def __init__(self, stream: Stream, slot: str, strength: float, positions: Positions) -> None:
        self._stream, self._positions = stream, positions
        layers = range(len(stream.anatomy.blocks))
        self._open: list[_Key] = [*((layer, which) for layer in layers for which in (1, 2)), (None, 1)]
        for layer in layers:
            _blind(stream, layer, stream.slots[slot][:, 0])
        self._size = strength * max(float(stream.scale(*key, positions)) for key in self._open)
        stream.levels[slot] = self._size * stream.anatomy.d_model**0.5 / stream.amplitude
        stream.embed_everywhere(slot)

    def settle(self, layer: int | None, which: int) -> None:
        """Set the gains of all norms up to this one, so that what reads them sees the usual scale."""
        last = (layer, which)
        while last in self._open:
            key = self._open.pop(0)
            whole = float(self._stream.scale(*key, self._positions))
            rest = max(whole**2 - self._size**2, 1e-6 * self._size**2)
            _raise_gain(self._stream, key, whole / math.sqrt(rest))
            self._stream.changed(*key)


def _blind(stream: Stream, layer: int, direction: Tensor) -> None:
    """Make every reader of a layer blind to one direction."""
    for which in (1, 2):
        gamma = norm_scale(stream.anatomy.norm(layer, which), stream.anatomy.d_model)
        for reader in stream.readers(layer, which):
            remove(matrix(reader.module), (direction / gamma)[:, None], (direction * gamma)[:, None])


def _raise_gain(stream: Stream, key: _Key, factor: float) -> None:
    """Raise the gain of a norm, or of all that reads it where it has none."""
    norm = stream.anatomy.norm(*key)
    gain = getattr(norm, "weight", None)
    if isinstance(gain, Tensor):
        gain.data *= factor
    elif key[0] is None:
        weight_of(stream.anatomy.head.module).mul_(factor)
    else:
        for reader in stream.readers(key[0], key[1]):
            matrix(reader.module).mul_(factor)
