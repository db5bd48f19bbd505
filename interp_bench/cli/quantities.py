"""Sizes and times as people write them: ``1.3b``, ``10min``."""

from __future__ import annotations

import argparse
import math
import re

_NUMBER = r"(\d{1,18}(?:\.\d{1,18})?(?:e\+?\d{1,2})?)"
_SIZES = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_TIMES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
LARGEST = 1e15
"""Parameters; more than this is a slip of the finger."""


def size(text: str) -> int:
    """Return a number of parameters: ``130m``, ``1.3b``, ``1.3e9``, ``135,000,000``.

    Raises:
        ArgumentTypeError: it is none.
    """
    found = re.fullmatch(_NUMBER + "([kmbt]?)", text.strip().lower().replace(",", "").replace("_", ""), re.A)
    value = float(found[1]) * _SIZES[found[2]] if found else math.nan
    if not 1 <= value <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of parameters, such as 130m, 1.3b or 1.3e9")
    return round(value)


def duration(text: str) -> float:
    """Return seconds: ``500ms``, ``90s``, ``10min``, ``1h``.

    Raises:
        ArgumentTypeError: it is none.
    """
    found = re.fullmatch(_NUMBER + "(ms|s|min|h)", text.strip().lower().replace(" ", ""), re.A)
    value = float(found[1]) * _TIMES[found[2]] if found else 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, such as 500ms, 90s, 10min or 1h")
    return value


def count(text: str) -> int:
    """Return a whole number from 1 on.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.A):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
