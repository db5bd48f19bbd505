"""Trials as lines of JSON: read back, with file and line of what is no trial."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from interp_bench.errors import StoreError
from interp_bench.harness.trial import Trial, fault_in


def read_lines(path: Path) -> list[Trial]:
    """Return the trials of a file, one a line; empty lines are passed over.

    Raises:
        StoreError: the file cannot be read, or a line is not a trial; file and line are named.
    """
    return list(each_line(path))


def each_line(path: Path) -> Iterator[Trial]:
    """Yield the trials of a file as ``read_lines`` returns them, with one line in memory at a time."""
    try:
        # Only a line feed ends a line: a reason may hold other characters that end one elsewhere.
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if content.strip():
                    yield _trial(content, path, number)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def _trial(line: bytes, path: Path, number: int) -> Trial:
    try:
        return Trial.model_validate_json(line)
    except ValidationError as error:
        raise StoreError(f"{path}:{number}: not a trial: {fault_in(error)}; export it again") from error
