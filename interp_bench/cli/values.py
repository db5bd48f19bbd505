"""What options of the command line take, read from text."""

from __future__ import annotations

import argparse
import re
from pathlib import Path


def path_of(text: str) -> Path:
    """Return a path.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    if "\0" in text:
        raise argparse.ArgumentTypeError("no path holds the sign of number zero")
    return Path(text)


def seed_of(text: str) -> int:
    """Return a seed, from 0 to 999999999.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; give a whole number from 0 to 999999999")
    return int(text)


def count_of(text: str) -> int:
    """Return a number of trials, from 0 to 999999.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of trials; give one from 0 to 999999")
    return int(text)


def tolerance_of(text: str) -> float:
    """Return a difference of skill, from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no difference of skill; give one from 0 to 1")
    return value
