"""Packs of trials: scripts that a page loads when someone wants to see what a number rests on.

A page from a disk may not read files, but it may load scripts, so each pack is a call with plain data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from operator import attrgetter, is_
from typing import Any

from interp_bench.board.site.links import Links
from interp_bench.board.site.study import Study
from interp_bench.harness.trial import Provenance, Trial

FIELDS = (
    "model", "seed", "control", "status", "reason", "skill", "scores", "seconds", "cpu_seconds",
    "peak_memory_mb", "forwards", "backwards", "grade_seconds", "plant_seconds", "warnings",
    "technique_version", "technique_arguments", "technique_fingerprint", "task_version", "seed_secret",
    "key", "run_id",
)  # fmt: skip
"""What a pack holds of each trial, before its problem and its provenance."""

_OWN = ("model", "seed", "status", "skill", "problem", "origin")
"""What every trial has to itself; of the rest, what all trials of a pack share is there once."""

_FIELDS = attrgetter(*FIELDS)
_PROVENANCE = attrgetter(*Provenance.model_fields)
_PROBLEM = attrgetter(
    "model", "seed", "certificate", "floor_scores", "floor_spread", "ceiling_scores", "dials"
)


def pack_of(links: Links, technique: str, task: str) -> str:
    """Return the name of the pack of a technique (``track/technique``) on a task, without ``.js``."""
    return f"{links.trials(technique)}/{links.problems(task).rpartition('/')[2]}"


def packs(study: Study, links: Links) -> Iterator[tuple[str, str]]:
    """Yield path and content of every pack: those of trials, then those of problems."""
    problems: dict[str, _Problems] = {}
    grouped: dict[tuple[str, str], list[Trial]] = {}
    for trial in study.trials:
        grouped.setdefault((trial.technique_id, trial.task_id), []).append(trial)
    for (technique, task), trials in grouped.items():
        known = problems.setdefault(task, _Problems())
        name = pack_of(links, technique, task)
        yield f"{name}.js", _script(name, _trials(trials, known, links.problems(task), trials[0].primary))
    for task, found in problems.items():
        name = links.problems(task)
        yield f"{name}.js", _script(name, found.rows)


class _Problems:
    """The problems of a task; what trials share of them is there once."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._places: dict[tuple[object, ...], int] = {}

    def place(self, trial: Trial) -> int:
        """Return the index of a trial's problem."""
        model, seed, *parts = _PROBLEM(trial)
        key = (model, seed, *map(id, parts))
        if key not in self._places:
            certificate, floor, spread, ceiling, dials = parts
            self._places[key] = len(self.rows)
            self.rows.append(
                {
                    "certificate": [
                        [name, _finite(c.value), c.relation, _finite(c.bound), c.passed]
                        for name, c in certificate.items()
                    ],
                    "floor": floor,
                    "floor_draws": trial.floor_draws,
                    "floor_spread": spread,
                    "ceiling": ceiling,
                    "dials": dials,
                    "model_revision": trial.model_revision,
                }
            )
        return self._places[key]


def _trials(trials: list[Trial], problems: _Problems, file: str, primary: str) -> dict[str, Any]:
    origins: dict[int, int] = {}
    rows = [
        (
            *_FIELDS(trial),
            problems.place(trial),
            origins.setdefault(id(trial.provenance), len(origins)),
        )
        for trial in trials
    ]
    known = {id(trial.provenance): trial.provenance for trial in trials}
    columns = dict(zip((*FIELDS, "problem", "origin"), zip(*rows, strict=True), strict=True))
    shared = {name: values[0] for name, values in columns.items() if name not in _OWN and _one(values)}
    varied = [name for name in columns if name not in shared]
    return {
        "same": shared,
        "fields": varied,
        "trials": list(zip(*(columns[name] for name in varied), strict=True)),
        "problems": file,
        "primary": primary,
        "provenance": list(Provenance.model_fields),
        "origins": [_PROVENANCE(known[origin]) for origin in origins],
    }


def _one(values: tuple[object, ...]) -> bool:
    """Return whether all values are the very same; equal numbers of different kinds are not."""
    return all(map(is_, values, repeat(values[0])))


def _finite(value: float) -> float | str:
    """Return an infinite or undefined value as a word, since JSON has none."""
    return value if value - value == 0 else str(value)


def _script(name: str, content: object) -> str:
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f"interpBench.receive({json.dumps(name)},{text});\n"
