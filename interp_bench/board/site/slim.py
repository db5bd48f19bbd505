"""Trials in a fraction of their memory: the same attributes, and what is equal is held once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from interp_bench.board.jsonl import exported
from interp_bench.harness.lines import each_line
from interp_bench.harness.trial import CheckNumbers, Provenance, Trial

_EMPTY: dict[str, Any] = {}


class _SlimProvenance:
    """Stands for a ``Provenance``."""

    __slots__ = tuple(Provenance.model_fields)


class _SlimTrial:
    """Stands for a ``Trial``: analysis reads its attributes and cannot tell.

    A pydantic object holds a dictionary and a set of its fields beside their values, some 7 kB a trial,
    with which 100,000 of them do not fit into a small machine.
    """

    __slots__ = tuple(Trial.model_fields)

    technique_id = Trial.technique_id
    task_id = Trial.task_id
    cell = Trial.cell
    name = Trial.name

    def model_dump_json(self) -> str:
        """Return the trial as JSON, as ``Trial.model_dump_json`` does."""
        return whole(self).model_dump_json()


_ALONE = ("key", "scores", "skill", "seed", "reason")
"""What trials hardly ever share, so that looking for an equal one would cost more than it saves."""

_NAMES = tuple(n for n, f in Trial.model_fields.items() if f.annotation is str and n not in _ALONE)
_HELD = tuple(n for n, f in Trial.model_fields.items() if isinstance(f.default, dict) and n not in _ALONE)
_REST = tuple(n for n in Trial.model_fields if n not in {*_NAMES, *_HELD, "provenance"})


class Pool:
    """Makes slim trials whose equal parts are one object: names, certificates, dials, provenance."""

    def __init__(self) -> None:
        self._held: dict[Any, Any] = {}

    def slim(self, trial: Trial) -> Trial:
        """Return a trial with the same attributes that holds little memory of its own."""
        found, fields = _SlimTrial(), trial.__dict__
        for name in _REST:
            setattr(found, name, fields[name])
        for name in _NAMES:
            setattr(found, name, sys.intern(fields[name]))
        for name in _HELD:
            value = fields[name]
            setattr(found, name, self._dictionary(value) if value else _EMPTY)
        found.provenance = self._provenance(fields["provenance"])  # type: ignore[attr-defined]
        return cast("Trial", found)

    def _dictionary(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the first dictionary with the same content; True and 1 are not the same."""
        names = tuple(value)
        if isinstance(value[names[0]], CheckNumbers):
            checks = [(c.value, c.relation, c.bound, c.passed) for c in value.values()]
            key: Any = (names, *checks)
        else:
            key = (names, *map(type, value.values()), *value.values())
        held: dict[str, Any] = self._held.setdefault(key, value)
        return held

    def _provenance(self, value: Provenance) -> Provenance:
        key = tuple(value.__dict__.values())
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _SlimProvenance()
            for name, part in value.__dict__.items():
                setattr(held, name, sys.intern(part) if isinstance(part, str) else part)
        return cast("Provenance", held)


def whole(trial: Trial | _SlimTrial) -> Trial:
    """Return a slim trial as a ``Trial``; what is one already comes back as it is."""
    if isinstance(trial, Trial):
        return trial
    fields = {name: getattr(trial, name) for name in Trial.model_fields}
    provenance = {name: getattr(fields["provenance"], name) for name in Provenance.model_fields}
    return Trial(**fields | {"provenance": provenance})


def slimmed(trials: Iterable[Trial]) -> Iterator[Trial]:
    """Yield slim trials that share what is equal among them."""
    pool = Pool()
    return (pool.slim(trial) for trial in trials)


def read_slim(path: Path) -> tuple[Trial, ...]:
    """Read a file or every ``*.jsonl`` of a folder, one line at a time.

    Raises:
        StoreError: there are none, or a line is not a trial; file and line are named.
    """
    return tuple(slimmed(trial for file in exported(path) for trial in each_line(file)))
