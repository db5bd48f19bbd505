"""Tables for the terminal, and how wide they are."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import MIN_PADDING, tabulate

WIDTH = 120
"""Columns that a table takes at most, where names allow."""

LEAST = 24
"""The last column gets at least this much room."""


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table without lines between columns; every entry stays as it is."""
    return tabulate(rows, headers, tablefmt="simple", disable_numparse=True)


def width(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how wide the table of these rows is."""
    padded = [header + " " * MIN_PADDING for header in headers]
    columns = zip(padded, *rows, strict=True)
    return sum(max(map(len, column)) + 2 for column in columns) - 2


def room(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the room for one more column, at least ``LEAST``."""
    return max(WIDTH - width(headers, rows) - 2, LEAST)


def fitted(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose last column is cut to the room that the others leave."""
    left = room(headers[:-1], [row[:-1] for row in rows])
    return table(headers, [[*row[:-1], cut(row[-1], left)] for row in rows])


def cut(text: str, length: int) -> str:
    """Return a text of one line, cut to a length; what is cut off shows as ``...``."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 3] + "..."
