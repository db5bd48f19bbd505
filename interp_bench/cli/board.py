"""The command group ``interp-bench board``: what stored trials say, in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.errors import InterpBenchError, StoreError, near_name
from interp_bench.harness.folders import is_file
from interp_bench.harness.lines import read_lines
from interp_bench.harness.store import Store

if TYPE_CHECKING:
    from interp_bench.harness.trial import Trial


def show(trials: Path, *, store: Path | None, track: str | None, ladder: str | None) -> int:
    """Print the tables that ``pytest --bench`` ends with, of exported or stored trials; return 0.

    Args:
        trials: folder of ``*.jsonl``, or one such file.
        store: store to read in place of ``trials``; the newest trial of each question counts.
        track: only trials of this track.
        ladder: only trials on models of this ladder.

    Raises:
        InterpBenchError: trials cannot be read, or none is of this track or ladder.
    """
    from interp_bench.board.terminal import summary

    found = load_trials(trials) if store is None else _stored(store)
    if track is not None:
        found = _only(found, track, "track", lambda trial: trial.track)
    if ladder is not None:
        found = _only(found, ladder, "ladder", lambda trial: trial.ladder)
    print(summary(found))
    return 0


def load_trials(path: Path) -> Sequence[Trial]:
    """Read exported trials.

    Args:
        path: a folder of ``*.jsonl``, or one file.

    Raises:
        StoreError: there are none, or a line is no trial.
    """
    from interp_bench.board import jsonl

    return read_lines(path) if is_file(path) else jsonl.read(path)


def _stored(path: Path) -> Sequence[Trial]:
    if not is_file(path):
        raise StoreError(f"there is no store {path}; make one with: pytest --bench")
    with Store.open(path) as store:
        return store.latest()


def _only(trials: Sequence[Trial], name: str, noun: str, of: Callable[[Trial], str]) -> Sequence[Trial]:
    kept = [trial for trial in trials if of(trial) == name]
    if not kept:
        known = sorted({of(trial) for trial in trials} - {""})
        listed = f"; there are {', '.join(known)}" if known else ""
        raise InterpBenchError(f"no trial is of the {noun} {name!r}{near_name(name, known)}{listed}")
    return kept
