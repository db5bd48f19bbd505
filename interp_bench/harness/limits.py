"""How much time, memory and output one trial may take."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass, replace

import psutil

from interp_bench.errors import InterpBenchError
from interp_bench.harness.tiers import TIERS

SECONDS = dict(zip(TIERS, (300.0, 1800.0, 7200.0), strict=True))
"""Seconds that a call may take, by tier, where the user sets no limit."""

OUTPUT_BYTES = 64 << 20
"""Bytes that a trial may write to its standard output and error."""

_SHARE_OF_MEMORY = 0.8
_MOST = 1e8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one trial.

    Attributes:
        seconds: of the call, wall clock.
        memory_bytes: memory above that of the idle planted model, children included.
        output_bytes: written to standard output and error together.
        disk_bytes: in the folder for temporary files, the only one that can be written to.
        processes: that it may have running at a time, beside its own.
        around_seconds: before and after the call, for imports and for looking at what it left.
    """

    seconds: float = SECONDS["quick"]
    memory_bytes: int = 1 << 40
    output_bytes: int = OUTPUT_BYTES
    disk_bytes: int = 32 << 30
    processes: int = 512
    around_seconds: float = 60.0


def parse_limits(tier: str, *, workers: int, timeout: str = "", memory: str = "") -> Limits:
    """Return the limits that a user asked for, and the usual ones otherwise.

    Args:
        tier: quick, standard or full.
        workers: how many trials run at a time.
        timeout: seconds, as text; empty for the usual.
        memory: GiB, as text; empty for the usual.

    Raises:
        InterpBenchError: one is no positive number.
    """
    limits = usual_limits(tier, workers=workers)
    if timeout:
        limits = replace(limits, seconds=_positive("--bench-timeout", timeout, "seconds, such as 60"))
    if memory:
        amount = _positive("--bench-memory", memory, "GiB, such as 4 or 0.5")
        limits = replace(limits, memory_bytes=int(amount * 2**30))
    return limits


def _positive(option: str, text: str, unit: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MOST:
        raise InterpBenchError(f"{option} is {text!r}; give a positive number of {unit}")
    return value


def usual_limits(tier: str, *, workers: int) -> Limits:
    """Return the limits of a tier on this machine.

    Args:
        tier: quick, standard or full.
        workers: how many trials run at a time; each may use its share of 80% of the memory, and of
            half of the free disk.
    """
    memory = int(psutil.virtual_memory().total * _SHARE_OF_MEMORY / max(1, workers))
    disk = shutil.disk_usage(tempfile.gettempdir()).free // (2 * max(1, workers))
    return Limits(seconds=SECONDS[tier], memory_bytes=memory, disk_bytes=min(Limits().disk_bytes, disk))
