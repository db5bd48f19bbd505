"""What planted evidence looks like, whatever the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WHITE = 0.5  # standard deviation of the white part of the background
NONE, DECOY = -1, -2  # stand in for a pattern: nothing in its place, or a decoy


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What stands in an input beside the patterns, and how and where the patterns stand.

    Attributes:
        decoys: things in each input that look like a pattern and mean nothing.
        amplitude: height of a pattern in pixel units (images).
        white: standard deviation of the white part of the background in pixel units (images); its
            smooth part has one of 0.6.
        spread: standard deviation of the place of a pattern about the centre, as a share of the size of
            the image; infinite where patterns stand anywhere (images).
        own_grid: whether patterns of several tiles stand on a grid of their own size, so that a
            network that halves its resolution sees each of them alike (ConvNeXt).
        length: tokens of an input (LMs).
        copies: markers of each pattern in an input (LMs).
        together: whether the copies of a pattern form one span (LMs).
        zipf: how unevenly fillers occur: the r-th as often as 1 / r to this power, so that some are as rare
            as markers; 0 for all alike (LMs).
        even_norms: whether the embeddings of all tokens in use get the same norm (LMs).
    """

    decoys: int = 3
    amplitude: float = 0.8
    white: float = WHITE
    spread: float = math.inf
    own_grid: bool = False
    length: int = 24
    copies: int = 1
    together: bool = False
    zipf: float = 0.0
    even_norms: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stimuli:
    """Inputs with patterns at known places.

    Attributes:
        inputs: tokens (n, position) or pixels (n, 3, height, width).
        masks: (n, k, position) or (n, k, height, width) bool: where the k-th pattern of an input is.
    """

    inputs: Tensor
    masks: Tensor


Sampler = Callable[[Tensor, torch.Generator], Stimuli]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A planted mechanism: each pattern, wherever it stands in the input, raises its own logit.

    Patterns come in groups that run side by side, each through carriers of its own; pattern
    ``i`` of all groups together has index ``i`` (group 0 first). An input holds at most one
    pattern of each group.

    Attributes:
        groups: number of patterns in each group.
        outputs: (n_patterns,) index of the logit that each pattern raises; where patterns were planted
            with effects of their own, (n_outputs,) the logits that these count.
        carriers: residual-stream site -> (n_patterns, width) directions, one a pattern, not
            necessarily of unit length, whose coordinates carry the pattern to its logit; only
            sites at which interchanging them changes the logits (see ``position``).
        position: position at which the carriers are read: -1 (last token), 0 (class token), or
            None where every position carries them (CNN).
        sample: (classes (n, n_groups) pattern indices, or NONE, or DECOY, generator) -> Stimuli; what
            else is drawn does not depend on the classes.
        parts: names of the planted parts (heads, neurons, channels) for reports.
    """

    groups: tuple[int, ...]
    outputs: Tensor
    carriers: dict[str, Tensor]
    position: int | None
    sample: Sampler
    parts: tuple[str, ...]

    @property
    def n_patterns(self) -> int:
        """Number of patterns over all groups."""
        return sum(self.groups)

    def members(self, group: int) -> slice:
        """Return the indices of the patterns of one group."""
        start = sum(self.groups[:group])
        return slice(start, start + self.groups[group])

    def read(self, logits: Tensor) -> Tensor:
        """Return the logits of ``outputs``, (n, n_patterns): last position of an LM, or the classes."""
        final = logits[:, -1] if logits.ndim == 3 else logits
        return final[:, self.outputs.to(final.device)]


def draw_classes(n: int, groups: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw one pattern of each group for ``n`` inputs: (n, n_groups) pattern indices."""
    starts = torch.tensor([0, *groups[:-1]]).cumsum(0)
    drawn = [torch.randint(size, (n,), generator=generator) for size in groups]
    return torch.stack(drawn, 1) + starts
