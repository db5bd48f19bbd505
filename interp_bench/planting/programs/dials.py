"""How hard a compiled program is to find."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramDials:
    """How hard a compiled program is to find.

    Attributes:
        rho: norm of a planted code as a fraction of the host's residual norm.
        anchor: size of the constant that steadies the norms, over that of the host's stream.
        attention_gain: margin in attention logits.
        recency: attention logits by which a later match outweighs an earlier one.
        ramp: width of the slope between off and on of a neuron that combines codes.
        logit_gain: margin of the answer in standard deviations of the host's own logits.
        write_leak: share of the host's own writing that stays in the reserved subspace.
        read_leak: share of the reserved subspace that the host goes on reading.
    """

    rho: float = 0.35
    anchor: float = 6.0
    attention_gain: float = 24.0
    recency: float = 4.0
    ramp: float = 0.6
    logit_gain: float = 8.0
    write_leak: float = 0.0
    read_leak: float = 1.0
