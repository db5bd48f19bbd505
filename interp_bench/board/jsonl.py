"""Trials as JSON lines, one file a track: what is committed, reviewed and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interp_bench.analysis.cells import newest
from interp_bench.board.files import write_whole
from interp_bench.errors import StoreError
from interp_bench.harness.trial import Trial


def export(trials: Iterable[Trial], folder: Path) -> dict[Path, int]:
    """Write ``<track>.jsonl`` for each track that occurs; return how many trials each file holds.

    The newest trial of each question is written, sorted by task, model, technique and seed; files of
    other tracks stay as they are. A file appears whole or not at all.

    Raises:
        StoreError: a file cannot be written.
    """
    tracks: dict[str, list[Trial]] = {}
    for trial in newest(trials):
        tracks.setdefault(trial.track, []).append(trial)
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
    fields = trial.model_dump(mode="json", exclude=absent)
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, allow_nan=False)


def read(folder: Path) -> tuple[Trial, ...]:
    """Read every ``*.jsonl`` of a folder, in the order of names and lines.

    Raises:
        StoreError: the folder holds no such file, or a line is not a trial; file and line are named.
    """
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise StoreError(f"there are no trials (*.jsonl) in {folder}; write them with: interp-bench export")
    return tuple(trial for path in files for trial in _read_file(path))


def _read_file(path: Path) -> list[Trial]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    trials = []
    for number, content in enumerate(text.split("\n"), start=1):
        if not content:
            continue
        try:
            trials.append(Trial.model_validate_json(content))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            what = f"{where}: {first['msg']}" if where else first["msg"]
            raise StoreError(f"{path}:{number}: not a trial: {what}; export it again") from error
    return trials
