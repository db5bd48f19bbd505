"""Submissions: the trials of a run in one file with hashes, packed, and read back without trust.

The file is one JSON object. ``hashes`` holds the SHA-256 of each trial by its name, and ``sha256`` that of
everything but the trials, both over canonical JSON (sorted keys, no white space, ASCII). Hashes find what
was changed, dropped or added on the way; whoever makes them anew is found by running trials again, which
is the business of ``interp-bench verify``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from pydantic import ValidationError

from interp_bench.analysis.cells import newest
from interp_bench.board import jsonl
from interp_bench.board.figures import names_text, plural
from interp_bench.errors import StoreError, one_line, shortened
from interp_bench.harness.trial import Arguments, Stored, Trial, Whole, fault_in, skill_of

FORMAT: Final = "interp_bench submission"
SCHEMA = 1
"""Number of the layout of the file; raised when a field changes its meaning."""

MOST_BYTES = 64 << 20
"""Size of a file, some 25,000 trials; a larger one is neither written nor read."""

LONGEST_NOTE = 2000
"""Characters of a note."""


class TechniqueFacts(Stored):
    """What was run under the id of a technique."""

    version: Whole
    fingerprint: str
    arguments: Arguments


class TaskFacts(Stored):
    """What was asked under the id of a task; version and dials decide what it plants."""

    version: Whole
    dials: Arguments


class Head(Stored):
    """A submission without its trials.

    Attributes:
        format, schema_number: what file this is.
        run: id of the run in the store of its author.
        note: of the author, free text.
        techniques, tasks: what was run and asked, by id.
        hashes: SHA-256 of each trial, by its name.
    """

    format: Literal["interp_bench submission"]
    schema_number: int
    run: str
    note: str
    techniques: dict[str, TechniqueFacts]
    tasks: dict[str, TaskFacts]
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a file holds, once every hash has been found right.

    Attributes:
        head: all but the trials.
        sha256: of the head, and so of everything.
        trials: in the order of their names.
    """

    head: Head
    sha256: str
    trials: tuple[Trial, ...]


def pack(trials: Iterable[Trial], *, run: str, note: str = "") -> bytes:
    """Return the file of a run; the same trials give the same bytes, whatever their order.

    Args:
        trials: of the run; the newest of each question is packed.
        run: its id.
        note: of the author.

    Raises:
        StoreError: there are no trials, one contradicts itself, or they are too many for a file.
    """
    kept = sorted(newest(trials), key=lambda trial: trial.name)
    if not kept:
        raise StoreError("there are no trials to pack")
    if len(note) > LONGEST_NOTE:
        raise StoreError(f"the note has {len(note):,} characters; it may have {LONGEST_NOTE:,}")
    _refuse("", _contradictions(kept))
    fields = {trial.name: json.loads(jsonl.line(trial)) for trial in kept}
    if len(fields) < len(kept):
        raise StoreError("two trials have one name; rename one of their techniques, tasks or models")
    techniques, tasks = facts_of(kept)
    head = Head(
        format=FORMAT,
        schema_number=SCHEMA,
        run=run,
        note=note,
        techniques=techniques,
        tasks=tasks,
        hashes={name: _sha256(content) for name, content in fields.items()},
    ).model_dump(mode="json")
    lines = ",\n".join(_canonical(content) for content in fields.values())
    text = _canonical({**head, "sha256": _sha256(head)})
    packed = f'{text[:-1]},\n"trials":[\n{lines}\n]}}\n'.encode("ascii")
    if len(packed) > MOST_BYTES:
        raise StoreError(f"the run makes a file of {len(packed):,} bytes; the most is {MOST_BYTES:,}")
    return packed


def read(path: Path) -> Submission:
    """Read a file and check its layout, every hash, and that each trial agrees with itself.

    Raises:
        StoreError: it cannot be read, is no submission, or was changed; what was changed is named.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    return unpack(content, str(path))


def unpack(content: bytes, where: str) -> Submission:
    """Return the submission that bytes hold; see `read`.

    Args:
        content: of the file.
        where: its name, for errors.

    Raises:
        StoreError: as `read` does.
    """
    if len(content) > MOST_BYTES:
        raise StoreError(f"{where}: is larger than a submission may be, {MOST_BYTES:,} bytes")
    document = _parsed(content, where)
    said, listed = document.pop("sha256", None), document.pop("trials", None)
    if document.get("format") != FORMAT:
        raise StoreError(f"{where}: is no submission; make one with: interp-bench submit")
    number = document.get("schema_number")
    if number != SCHEMA:
        raise StoreError(
            f"{where}: is of schema {shortened(number)}, and this interp_bench reads {SCHEMA}; upgrade "
            "interp_bench, or pack the run anew"
        )
    try:
        head = Head.model_validate_json(_canonical(document))
    except ValidationError as error:
        raise StoreError(f"{where}: {fault_in(error)}") from error
    if not isinstance(listed, list):
        raise StoreError(f"{where}: trials: is no list")
    trials = tuple(_trial(fields, f"{where}: trial {i}") for i, fields in enumerate(listed, start=1))
    _refuse(f"{where}: ", _changes(head, dict(zip(_names(trials), listed, strict=True)), trials))
    if said != _sha256(document):
        raise StoreError(f"{where}: was changed: its sha256 is not that of its run, note and lists")
    if (head.techniques, head.tasks) != facts_of(trials):
        raise StoreError(f"{where}: the lists of techniques and tasks are not those of its trials")
    _refuse(f"{where}: ", _contradictions(trials))
    return Submission(head=head, sha256=said, trials=tuple(sorted(trials, key=lambda trial: trial.name)))


def facts_of(trials: Iterable[Trial]) -> tuple[dict[str, TechniqueFacts], dict[str, TaskFacts]]:
    """Return what was run and what was asked, by id.

    Raises:
        StoreError: trials of one run ran, or asked, two things under one id.
    """
    techniques: dict[str, TechniqueFacts] = {}
    tasks: dict[str, TaskFacts] = {}
    for trial in trials:
        run = TechniqueFacts(
            version=trial.technique_version,
            fingerprint=trial.technique_fingerprint,
            arguments=trial.technique_arguments,
        )
        asked = TaskFacts(version=trial.task_version, dials=trial.dials)
        if techniques.setdefault(trial.technique_id, run) != run:
            raise StoreError(one_line(f"two versions of {trial.technique_id} are in one run; pack another"))
        if tasks.setdefault(trial.task_id, asked) != asked:
            raise StoreError(one_line(f"two versions of {trial.task_id} are in one run; pack another"))
    return dict(sorted(techniques.items())), dict(sorted(tasks.items()))


def contradiction(trial: Trial) -> str:
    """Return in what a trial contradicts itself, as none that was measured does, or an empty string."""
    if trial.status != "ok":
        return "it has a skill though it gave no answer" if trial.skill is not None or trial.scores else ""
    if any(not check.passed for check in trial.certificate.values()):
        return "its problem is not certified"
    parts = [part.get(trial.primary) for part in (trial.scores, trial.floor_scores, trial.ceiling_scores)]
    score, floor, ceiling = parts
    if trial.skill is None or score is None or floor is None or ceiling is None or floor == ceiling:
        return f"its skill does not follow from scores of {trial.primary}"
    skill = skill_of(score, floor, ceiling)
    if not math.isclose(skill, trial.skill, rel_tol=1e-9, abs_tol=1e-12):
        return f"its skill is {trial.skill:.6g}, and its scores make it {skill:.6g}"
    return ""


def gaps(trials: Sequence[Trial]) -> list[str]:
    """Return the names of trials that are not there though the same technique has other seeds there.

    A run tries every technique on every seed of a task and a model, so a gap is a run that was cut short,
    or one from which somebody left out what did not please.

    Args:
        trials: each question once.
    """
    seeds: dict[tuple[str, str, str], set[int]] = {}
    rows: dict[tuple[str, str, str, str], dict[int, Trial]] = {}
    for trial in trials:
        place = (trial.task_id, trial.model, trial.control)
        seeds.setdefault(place, set()).add(trial.seed)
        rows.setdefault((trial.technique_id, *place), {})[trial.seed] = trial
    return sorted(
        next(iter(row.values())).model_copy(update={"seed": seed}).name
        for (_, *place), row in rows.items()
        for seed in seeds[place[0], place[1], place[2]] - row.keys()
    )


def _contradictions(trials: Sequence[Trial]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for trial in trials:
        if fault := contradiction(trial):
            found.setdefault(fault, []).append(trial.name)
    return found


def _names(trials: Sequence[Trial]) -> list[str]:
    return [trial.name for trial in trials]


def _changes(head: Head, fields: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, list[str]]:
    """Return the names of trials that are not those that were packed, by what was done to them."""
    names = _names(trials)
    changed = [name for name, content in fields.items() if head.hashes.get(name) != _sha256(content)]
    return {
        "is there twice": sorted(name for name, times in Counter(names).items() if times > 1),
        "was changed": [name for name in changed if name in head.hashes],
        "was added": [name for name in changed if name not in head.hashes],
        "was dropped": sorted(head.hashes.keys() - fields.keys()),
    }


def _refuse(where: str, faults: Mapping[str, Sequence[str]]) -> None:
    """Raise for the first kind of fault that occurs, and name the trials that have it.

    Raises:
        StoreError: there is one.
    """
    for fault, names in faults.items():
        if names:
            listed = one_line(names_text(map(shortened, names), limit=3))
            raise StoreError(
                one_line(f"{where}{plural(len(names), 'trial')} cannot be trusted: {fault}: {listed}")
            )


def _trial(fields: object, where: str) -> Trial:
    try:
        return Trial.model_validate_json(_canonical(fields))
    except ValidationError as error:
        raise StoreError(f"{where}: not a trial: {fault_in(error)}") from error


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    """Return the object that is written in JSON without repeated keys and without NaN."""
    try:
        document = json.loads(content, object_pairs_hook=_unrepeated(where), parse_constant=_no_number)
        _canonical(document)
    except RecursionError as error:
        raise StoreError(f"{where}: is nested too deeply") from error
    except ValueError as error:
        raise StoreError(f"{where}: is not JSON: {one_line(str(error))[:200]}") from error
    if not isinstance(document, dict):
        raise StoreError(f"{where}: is no submission; make one with: interp-bench submit")
    return document


def _unrepeated(where: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise StoreError(f"{where}: the key {shortened(twice)} is there twice")
        return found

    return made


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(content: object) -> str:
    return hashlib.sha256(_canonical(content).encode("ascii")).hexdigest()
