"""Trials as lines of JSON: read back, with file and line of what is no trial."""

from __future__ import annotations

import codecs
from pathlib import Path

from pydantic import ValidationError

from interp_bench.errors import StoreError
from interp_bench.harness.trial import Trial, fault_in


def read_lines(path: Path) -> list[Trial]:
    """Return the trials of a file, one a line; empty lines are passed over.

    Raises:
        StoreError: the file cannot be read, or a line is not a trial; file and line are named.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    trials = []
    # Only a line feed ends a line: a reason may hold other characters that end one elsewhere.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                trials.append(Trial.model_validate_json(line))
            except ValidationError as error:
                raise StoreError(
                    f"{path}:{number}: not a trial: {fault_in(error)}; export it again"
                ) from error
    return trials
