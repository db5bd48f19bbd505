"""What two trials of one cell differ in besides their result: the question, the technique, the machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from interp_bench.harness.trial import Trial

Kind = Literal["question", "technique", "environment"]

NEAR = 1e-3
"""Guessing scores the same where it differs by less: other machines round differently."""

_ENVIRONMENT = (
    "device",
    "threads",
    "platform",
    "python",
    "interp_bench",
    "torch",
    "transformers",
    "timm",
    "transformer_lens",
    "numpy",
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Part:
    """One thing that is not what it was.

    Attributes:
        kind: whether the ``question`` is another one, the ``technique`` is, or the ``environment`` is.
        owner: the task, technique or model that it belongs to; empty for the environment.
        name: e.g. ``task version``.
        before, now: its values as text.
    """

    kind: Kind
    owner: str
    name: str
    before: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCount:
    """A part that changed, with how many pairs of trials it concerns."""

    part: Part
    pairs: int


def changed_parts(old: Trial, new: Trial) -> tuple[Part, ...]:
    """Return what differs between two trials of the same technique, task, model and seed.

    Where versions, dials and weights are the same but what guessing scores is not, the problem is
    another one all the same: its task or the technique that guesses was edited under its old version.
    """
    question = [
        *_part("question", old.task_id, "task version", old.task_version, new.task_version),
        *_parts("question", old.task_id, "dial", old.dials, new.dials),
        *_part("question", old.task_id, "metric", old.primary, new.primary),
        *_part("question", old.model, "model revision", old.model_revision, new.model_revision),
    ]
    if not question:
        question += _guesses(old, new)
    name = old.technique_id
    technique = [
        *_part("technique", name, "technique version", old.technique_version, new.technique_version),
        *_part("technique", name, "source", old.technique_fingerprint, new.technique_fingerprint),
        *_parts("technique", name, "argument", old.technique_arguments, new.technique_arguments),
    ]
    before, now = old.provenance, new.provenance
    environment = [
        part
        for field in _ENVIRONMENT
        for part in _part("environment", "", field, getattr(before, field), getattr(now, field))
    ]
    return (*question, *technique, *environment)


def count_parts(pairs: Iterable[tuple[Trial, Trial]]) -> tuple[PartCount, ...]:
    """Count each changed part over pairs of trials: questions first, then techniques, then machines."""
    counts: dict[Part, int] = {}
    for old, new in pairs:
        for part in changed_parts(old, new):
            counts[part] = counts.get(part, 0) + 1
    kinds: tuple[Kind, ...] = ("question", "technique", "environment")
    order = sorted(counts, key=lambda part: (kinds.index(part.kind), part))
    return tuple(PartCount(part=part, pairs=counts[part]) for part in order)


def _part(kind: Kind, owner: str, name: str, before: object, now: object) -> Iterator[Part]:
    if before != now:
        yield Part(kind=kind, owner=owner, name=name, before=_text(before), now=_text(now))


def _parts(
    kind: Kind, owner: str, name: str, before: Mapping[str, object], now: Mapping[str, object]
) -> Iterator[Part]:
    for key in sorted({*before, *now}):
        yield from _part(kind, owner, f"{name} {key}", before.get(key, "unset"), now.get(key, "unset"))


def _guesses(old: Trial, new: Trial) -> Iterator[Part]:
    before, now = old.floor_scores.get(old.primary), new.floor_scores.get(new.primary)
    if before is None or now is None or math.isclose(before, now, rel_tol=NEAR, abs_tol=NEAR):
        return
    # Without the numbers, which differ from seed to seed.
    yield Part(
        kind="question", owner=old.task_id, name="what guessing scores", before="one value", now="another"
    )


def _text(value: object) -> str:
    return str(value) if value != "" else "unknown"
