"""Verdicts: a submitted trial beside the same question asked again here, and what follows.

A trial that was run on the same platform with the same versions, device and threads must come out the
same, bit for bit; any other one, and every one where a tolerance is asked for, with the same status and
a skill within the tolerance. Seconds, memory and passes are costs of a machine and are not compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from interp_bench.board import columns, figures
from interp_bench.errors import one_line, shortened
from interp_bench.harness.trial import Provenance, Status, Trial

Mark = Literal["verified", "differs", "cannot"]
MARKS: tuple[Mark, ...] = ("verified", "differs", "cannot")

TOLERANCE = 0.02
"""Largest difference of skill between platforms and versions, where no other is asked for."""

MACHINES_BUSINESS: frozenset[Status] = frozenset({"timed_out", "out_of_memory", "crashed"})
"""Outcomes that another machine may not repeat, of an honest trial too."""

FACTS = (
    "key", "role", "primary", "technique_version", "technique_arguments", "technique_fingerprint",
    "task_version", "dials", "model_revision", "params", "modality", "kind", "ladder",
)  # fmt: skip
"""What a trial says of its question; the same wherever it is run."""

RESULTS = (
    "status", "skill", "scores", "floor_scores", "floor_spread", "floor_draws", "ceiling_scores",
    "certificate",
)  # fmt: skip
"""What a trial measured, apart from costs."""

SURROUNDINGS = (
    "interp_bench", "python", "torch", "transformers", "timm", "transformer_lens", "numpy", "device",
    "threads", "platform",
)  # fmt: skip
"""What of a provenance must be the same for results that are the same bit for bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What running a trial again showed.

    Attributes:
        trial: as submitted.
        mark: ``verified``, ``differs``, or ``cannot`` where it could not be run or compared here.
        how: to what precision it agrees, what differs, or why it cannot be told.
        again: the trial that was run here, or None.
    """

    trial: Trial
    mark: Mark
    how: str
    again: Trial | None = None


def judge(trial: Trial, again: Trial, tolerance: float | None) -> Verdict:
    """Compare a trial with the same question run again.

    Args:
        trial: as submitted.
        again: as run here.
        tolerance: largest difference of skill; None for bit for bit in the same surroundings, and
            ``TOLERANCE`` in others.
    """

    def verdict(mark: Mark, how: str) -> Verdict:
        return Verdict(trial=trial, mark=mark, how=one_line(how), again=again)

    lie = _first_difference(trial, again, FACTS)
    if lie:
        return verdict("differs", lie)
    if trial.status != again.status:
        return verdict(*_other_status(trial, again))
    if not _first_difference(trial, again, RESULTS):
        return verdict("verified", "bit for bit")
    others = _other_surroundings(trial.provenance, again.provenance)
    if tolerance is None and not others:
        return verdict("differs", _first_difference(trial, again, RESULTS))
    most = TOLERANCE if tolerance is None else tolerance
    apart = abs((trial.skill or 0.0) - (again.skill or 0.0))
    if apart > most:
        return verdict("differs", f"skill by {apart:.2g}, more than {most:g}")
    made = f"; made with {others}" if others else ""
    return verdict("verified", f"within {most:g}, skill by {apart:.2g}{made}")


def cannot(trial: Trial, reason: str) -> Verdict:
    """Return the verdict on a trial that cannot be run here."""
    return Verdict(trial=trial, mark="cannot", how=one_line(reason))


def table(verdicts: Sequence[Verdict]) -> str:
    """Return one row a trial, what is wrong with those that were not verified, and the counts."""
    rows = [
        [
            columns.cut(one_line(verdict.trial.name), _LONGEST),
            verdict.mark,
            _skill(verdict.trial),
            _skill(verdict.again),
            verdict.how,
        ]
        for verdict in ordered(verdicts)
    ]
    shown = columns.fitted(["trial", "mark", "there", "here", "how"], rows)
    reasons = [
        one_line(f"{verdict.mark}: {verdict.trial.name}: {verdict.how}")
        for verdict in ordered(verdicts)
        if verdict.mark != "verified"
    ]
    counts = Counter(verdict.mark for verdict in verdicts)
    summed = ", ".join(f"{counts[mark]} {_WORDS[mark]}" for mark in MARKS)
    return "\n\n".join(filter(None, [shown, "\n".join(reasons), summed]))


def ordered(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts with what differs first, then what cannot be told, then by name."""
    order = ("differs", "cannot", "verified")
    return sorted(verdicts, key=lambda verdict: (order.index(verdict.mark), verdict.trial.name))


def marks(verdicts: Sequence[Verdict], about: Mapping[str, object]) -> bytes:
    """Return the verdicts as a file of JSON.

    Args:
        verdicts: of the sample.
        about: what else is worth knowing, such as the hash of the submission.
    """
    rows = [
        {
            "trial": verdict.trial.name,
            "mark": verdict.mark,
            "how": verdict.how,
            "there": verdict.trial.skill,
            "here": verdict.again.skill if verdict.again else None,
        }
        for verdict in ordered(verdicts)
    ]
    return (json.dumps({**about, "marks": rows}, indent=1, sort_keys=True) + "\n").encode("ascii")


_LONGEST = 64
_WORDS: dict[Mark, str] = {"verified": "verified", "differs": "differ", "cannot": "cannot be told here"}


def _skill(trial: Trial | None) -> str:
    if trial is None or trial.skill is None:
        return figures.NOTHING if trial is None else trial.status
    return figures.skill_text(trial.skill)


def _other_status(trial: Trial, again: Trial) -> tuple[Mark, str]:
    """Judge two trials of which one ended as the other did not."""
    said = f"{trial.status} there and {again.status} here"
    unposed = [one for one in (trial, again) if one.status == "skipped" and not one.ceiling_scores]
    if unposed or {trial.status, again.status} & MACHINES_BUSINESS:
        return "cannot", f"{said}, which may lie in the machine"
    return "differs", f"{said}: {again.reason}" if again.reason else said


def _first_difference(trial: Trial, again: Trial, names: Sequence[str]) -> str:
    """Return which of some fields is another, or an empty string."""
    there, here = (one.model_dump(mode="json", include=set(names)) for one in (trial, again))
    for name in names:
        # As text, so that a check that is no number equals itself.
        if json.dumps(there[name], sort_keys=True) != json.dumps(here[name], sort_keys=True):
            return f"{name.replace('_', ' ')}: {_values(there[name], here[name])}"
    return ""


def _values(there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        key = next(key for key in sorted({*there, *here}) if there.get(key) != here.get(key))
        return f"{shortened(key)} {_values(there.get(key), here.get(key))}"
    return f"{shortened(there)} there and {shortened(here)} here"


def _other_surroundings(there: Provenance, here: Provenance) -> str:
    """Return what a trial was made with that differs here, in words."""
    pairs = {name: (getattr(there, name), getattr(here, name)) for name in SURROUNDINGS}
    return one_line(", ".join(f"{name} {old}" for name, (old, new) in pairs.items() if old != new))
