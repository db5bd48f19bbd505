"""Numbers as rows of hexadecimal digits, a fixed number of them a value."""

from __future__ import annotations

import math

from torch import Tensor


def rows_of(shares: Tensor, digits: int) -> tuple[str, ...]:
    """Return one row for each row of ``shares`` (height, ...), values from 0 to 1.

    Args:
        shares: the numbers; what is beyond 0 and 1 is cut off.
        digits: hexadecimal digits a value.
    """
    levels = (shares.double().cpu().clamp(0, 1) * (16**digits - 1)).round().long()
    return tuple("".join(f"{level:0{digits}x}" for level in row.flatten().tolist()) for row in levels)


def marks_of(mask: Tensor) -> tuple[str, ...]:
    """Return one row of signs for each row of a mask (height, width): ``#`` where it is True."""
    return tuple("".join(".#"[place] for place in row) for row in mask.int().tolist())


def salient(values: Tensor) -> Tensor:
    """Return saliency as shares from 0 to 1, linear in the values.

    Places are ranked by the value as given, so what speaks against the output is as dark as what says
    nothing: 0 stands for zero, or for the least value where all are above zero or none is.
    """
    values = values.double().cpu()
    low, high = float(values.min()), float(values.max())
    if high > 0:
        low = max(low, 0.0)
    return (values - low) / (high - low) if high > low else values * 0


def rounded(value: float) -> float:
    """Return a number with four decimals, and never ``-0.0``."""
    return round(value, 4) + 0.0


def cosine_share(value: float) -> float:
    """Return a cosine from 0 to 1, rounded to four decimals."""
    return rounded(min(1.0, max(0.0, value))) if math.isfinite(value) else 0.0
