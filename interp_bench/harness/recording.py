"""Turn what happened in a cell into the trial that is stored."""

from __future__ import annotations

from typing import Any

from interp_bench.harness.grid import Cell
from interp_bench.harness.trial import Provenance, Status, Trial


def record(
    cell: Cell, *, run: str, provenance: Provenance, status: Status, reason: str = "", **outcome: Any
) -> Trial:
    """Return the trial of a cell.

    Args:
        cell: what was tried.
        run: id of the run.
        provenance: where and with what.
        status: outcome in a word.
        reason: why, when it is not ``ok``.
        outcome: further fields of Trial: scores, skill, cost.
    """
    return Trial(
        key=cell.key,
        run_id=run,
        technique=cell.row.name,
        track=cell.task.track.name,
        task=cell.task.name,
        model=cell.spec.id,
        seed=cell.seed,
        control=cell.control,
        seed_secret=cell.seed_secret,
        role=cell.row.role,
        status=status,
        reason=reason,
        primary=cell.task.track.primary.name,
        technique_version=cell.row.version,
        technique_arguments=dict(cell.row.arguments),
        technique_fingerprint=cell.row.fingerprint,
        task_version=cell.task.version,
        dials=dict(cell.task.arguments),
        model_revision=cell.model_revision,
        params=cell.spec.params,
        modality=cell.spec.modality,
        kind=cell.spec.kind,
        ladder=cell.spec.ladder,
        provenance=provenance,
        **outcome,
    )
