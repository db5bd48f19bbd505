"""The dials of a circuit planted in channel groups."""

from __future__ import annotations

from dataclasses import dataclass

JOINT = 2.0
"""Sum of the two pattern strengths where both kinds of pattern are present; one alone gives 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDials:
    """How hard a planted circuit is to find.

    Attributes:
        n_values: patterns of each kind, and classes.
        amplitude: height of a pattern, in pixel units (the background has a standard deviation of 0.78).
        lures: single patterns of each kind at other places of an image.
        shares: in how many groups each kind of pattern is carried; all of them are needed.
        depth: where the patterns meet, as a share of the network's depth; None draws it.
        moves: how likely carriers change their group in a block that can move them (ResNet).
        mixing: how far the channels of a carrier mix its values; 0 is one channel for each (ResNet).
        threshold: the sum of both pattern strengths (2 at a pair, 1 at a lure) where the conjunction
            starts to respond; nearer to 2 where there are shares.
        knee: the sum where its response starts to saturate.
        saturation: share of the slope that is lost beyond the knee; at 1 the gradient vanishes there.
        leak: standard deviation of what the network's own blocks write onto carriers, as a share of what
            they carry.
        host_logit: standard deviation of the network's own logits, as a share of the circuit's.
    """

    n_values: int = 3
    amplitude: float = 1.0
    lures: int = 2
    shares: int = 1
    depth: float | None = None
    moves: float = 0.5
    mixing: float = 0.5
    threshold: float = 1.4
    knee: float = 1.6
    saturation: float = 1.0
    leak: float = 0.01
    host_logit: float = 0.1

    @property
    def start(self) -> float:
        """Where the conjunction starts to respond: ``threshold``, or above what is left without one share."""
        return JOINT - (JOINT - self.threshold) / self.shares

    @property
    def bend(self) -> float:
        """Where its slope falls: ``knee``, moved likewise."""
        return JOINT - (JOINT - self.knee) / self.shares

    @property
    def response(self) -> float:
        """Response of the conjunction where both patterns are, in units of a pattern's strength."""
        return (JOINT - self.start) - self.saturation * (JOINT - self.bend)
