"""How much time, memory and output one trial may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import psutil

from interp_bench.harness.tiers import TIERS

SECONDS = dict(zip(TIERS, (300.0, 1800.0, 7200.0), strict=True))
"""Seconds that a call may take, by tier, where the user sets no limit."""

OUTPUT_BYTES = 64 << 20
"""Bytes that a trial may write to its standard output and error."""

_SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one trial.

    Attributes:
        seconds: of the call, wall clock.
        memory_bytes: memory above that of the idle planted model, children included.
        output_bytes: written to standard output and error together.
    """

    seconds: float = SECONDS["quick"]
    memory_bytes: int = 1 << 40
    output_bytes: int = OUTPUT_BYTES

    def as_numbers(self) -> dict[str, float]:
        """Return the limits as a dict of numbers."""
        return asdict(self)


def usual_limits(tier: str, *, workers: int) -> Limits:
    """Return the limits of a tier on this machine.

    Args:
        tier: quick, standard or full.
        workers: how many trials run at a time; each may use its share of 80% of the memory.
    """
    memory = int(psutil.virtual_memory().total * _SHARE_OF_MEMORY / max(1, workers))
    return Limits(seconds=SECONDS[tier], memory_bytes=memory)
