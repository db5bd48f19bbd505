"""Trials as JSON lines, one file a track: what is committed, reviewed and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interp_bench.analysis.cells import newest
from interp_bench.board.files import write_whole
from interp_bench.errors import StoreError
from interp_bench.harness.lines import read_lines
from interp_bench.harness.trial import Trial

_NAME = re.compile(r"\w[\w.-]*")


def export(trials: Iterable[Trial], folder: Path) -> dict[Path, int]:
    """Write ``<track>.jsonl`` for each track that occurs; return how many trials each file holds.

    The newest trial of each question is written, sorted by task, model, technique and seed; files of
    other tracks stay as they are. A file appears whole or not at all.

    Raises:
        StoreError: a file cannot be written, or the name of a track is none for a file, and
            then nothing is written.
    """
    tracks: dict[str, list[Trial]] = {}
    for trial in newest(trials):
        tracks.setdefault(trial.track, []).append(trial)
    for track in sorted(tracks):
        if not _NAME.fullmatch(track):
            raise StoreError(f"{track!r} is no name of a track that a file in {folder} could have")
    written = {}
    for track in sorted(tracks):
        rows = sorted(tracks[track], key=lambda t: (t.task, t.model, t.technique, t.seed))
        path = folder / f"{track}.jsonl"
        write_whole(path, "".join(line(trial) + "\n" for trial in rows).encode("utf-8"))
        written[path] = len(rows)
    return written


def line(trial: Trial) -> str:
    """Return one trial as one line: keys sorted, floats in their shortest exact form.

    Only controls name their control, only secret seeds their secret, and only isolated trials their
    isolation, so that other lines are what they were before there were any.
    """
    absent: dict[str, Any] = {name: True for name in ("control", "seed_secret") if not getattr(trial, name)}
    if not trial.provenance.isolation:
        absent["provenance"] = {"isolation"}
    # Through text, in which an infinite value of a check is the word for it.
    fields = json.loads(trial.model_dump_json(exclude=absent))
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, allow_nan=False)


def read(folder: Path) -> tuple[Trial, ...]:
    """Read every ``*.jsonl`` of a folder, in the order of names and lines.

    Raises:
        StoreError: the folder holds no such file, or a line is not a trial; file and line are named.
    """
    return tuple(trial for path in exported(folder) for trial in read_lines(path))


def exported(path: Path) -> list[Path]:
    """Return the ``*.jsonl`` files of a folder, sorted; a file stands for itself.

    Raises:
        StoreError: the folder holds no such file.
    """
    try:
        if path.is_file():
            return [path]
        files = sorted(path.glob("*.jsonl"))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    if not files:
        raise StoreError(f"there are no trials (*.jsonl) in {path}; write them with: interp-bench export")
    return files
