"""Take snapshots: plant, call techniques as a run does, and keep their answers beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from interp_bench.harness.calling import Caller, Here
from interp_bench.harness.faults import Fault, fault_of
from interp_bench.harness.grid import Cell
from interp_bench.harness.problems import Opener, Stage, Stages, graded
from interp_bench.harness.snapshots import attribution, circuits, concepts, features, triggers
from interp_bench.harness.snapshots.digits import rounded
from interp_bench.harness.snapshots.stored import Content, Snapshot
from interp_bench.harness.trial import skill_of

_TRACKS: dict[str, Callable[[Any, Any, Any], Content]] = {
    "attribution": attribution.snapshot,
    "circuits": circuits.snapshot,
    "concepts": concepts.snapshot,
    "features": features.snapshot,
    "triggers": triggers.snapshot,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A snapshot of a cell, or why there is none."""

    cell: Cell
    snapshot: Snapshot | None = None
    reason: str = ""


def take(cells: Iterable[Cell], opener: Opener, *, caller: Caller | None = None) -> Iterator[Taken]:
    """Take one snapshot of each cell; whatever happens in a technique becomes a reason.

    Args:
        cells: of techniques, in the order in which they are planted.
        opener: opens a model on a device.
        caller: how techniques are called; in this process when None.
    """
    stages, caller = Stages(opener), caller or Here()
    try:
        for cell in cells:
            if not stages.stands(cell):
                caller.forget()
            stage = stages.of(cell)
            found = _answer(cell, stages, stage, caller)
            if isinstance(found, Fault):
                yield Taken(cell=cell, reason=f"{found.status}: {found.reason}")
            else:
                yield Taken(cell=cell, snapshot=found)
    finally:
        caller.close()
        stages.close()


def _answer(cell: Cell, stages: Stages, stage: Stage, caller: Caller) -> Snapshot | Fault:
    if stage.fault is not None:
        return stage.fault
    attended = caller.call(cell, lambda: stages.sight(cell))
    if attended.spoilt:
        caller.forget()
        stages.drop()
    if attended.fault is not None:
        return attended.fault
    try:
        return _snapshot(cell, stage, attended.answer)
    except Exception as error:  # an answer may break the contract of its track
        return fault_of(error, "")


def _snapshot(cell: Cell, stage: Stage, answer: object) -> Snapshot:
    assert stage.planted is not None
    track = cell.task.track
    metric = track.primary.name
    score = graded(cell, stage.planted, answer)[metric]
    return Snapshot(
        track=track.name,
        technique=cell.row.name,
        technique_version=cell.row.version,
        task=cell.task.name,
        task_version=cell.task.version,
        model=cell.spec.id,
        modality=cell.spec.modality,
        seed=cell.seed,
        metric=metric,
        score=rounded(score),
        skill=rounded(skill_of(score, stage.floor[metric], stage.ceiling[metric])),
        content=_TRACKS[track.name](stage.planted.problem, stage.planted.truth, answer),
    )
