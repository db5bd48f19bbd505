"""Content keys: the hash of everything that decides a trial's result, by which a run resumes.

A second run takes over a stored trial when its key is the same and its status is final:

=============== ===================================================================
status          on the next run
=============== ===================================================================
ok, invalid     reused: the same question gives the same answer
skipped         reused where the technique itself declined the planted problem, as it will
                again; tried again where the model was not here
failed, crashed,
timed_out,
out_of_memory   run again: the cause may have been mended, or lain in the machine
=============== ===================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp_bench.harness.trial import SCHEMA

if TYPE_CHECKING:
    from interp_bench.tracks.catalogue import Task


def is_settled(status: str, *, posed: bool) -> bool:
    """Whether a later run takes a stored trial over instead of running it again.

    Args:
        status: its status.
        posed: whether its problem was planted and calibrated, so that the technique saw it.
    """
    return status in ("ok", "invalid") or (status == "skipped" and posed)


def content_key(
    *,
    technique: str,
    technique_version: int,
    technique_fingerprint: str,
    technique_arguments: Mapping[str, object],
    floor_version: int,
    task: Task,
    model: str,
    model_revision: str,
    seed: int,
    device: str,
    control: str = "",
    seed_secret: str = "",
) -> str:
    """Return the key of a trial, 32 hexadecimal digits.

    Args:
        technique: ``track/name``.
        technique_version: version that its author gives it.
        technique_fingerprint: hash of its source.
        technique_arguments: its arguments with their values.
        floor_version: version of the technique that guesses; skill depends on it.
        task: what is asked; its id, version and dials count.
        model: id of the model.
        model_revision: content of its weights.
        seed: seed of the problem.
        device: kind of device, for results differ in the last digits between them.
        control: the negative control, or an empty string, which leaves the key as it was before there
            were controls.
        seed_secret: commitment to the secret that the seed of the plant follows from, or an empty string,
            which leaves the key as it was before there were secrets.
    """
    parts = {
        "schema": SCHEMA,
        "technique": [technique, technique_version, technique_fingerprint, dict(technique_arguments)],
        "floor": floor_version,
        "task": [task.id, task.version, dict(task.arguments)],
        "model": [model, model_revision],
        "seed": seed,
        "device": device,
        **({"control": control} if control else {}),
        **({"seed_secret": seed_secret} if seed_secret else {}),
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
