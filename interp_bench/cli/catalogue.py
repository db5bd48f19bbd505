"""What there is, as plain values for tables and for ``--json``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp_bench.registry import ModelSpec
    from interp_bench.tracks.catalogue import Entry, Needs, Task, Technique

Record = Mapping[str, Any]
PACKAGE = Path(__file__).resolve().parents[1]


def model_record(spec: ModelSpec) -> dict[str, Any]:
    """Return a row of models.yaml, and whether it can be opened on this machine."""
    from interp_bench.registry import availability

    reason = availability(spec)
    return {
        "id": spec.id,
        "params": spec.params,
        "modality": spec.modality,
        "ladder": spec.ladder,
        "kind": spec.kind,
        "tier": spec.tier,
        "available": reason is None,
        "reason": reason,
        "license": spec.license,
        "capability": None if spec.capability is None else spec.capability.model_dump(),
        "memory_gb": spec.memory_gb,
        "revision": spec.revision,
    }


def technique_record(technique: Technique) -> dict[str, Any]:
    """Return what is registered of a technique."""
    return {
        **_entry_record(technique),
        "access": technique.access,
        "cost": technique.cost,
        "cites": technique.cites,
        "floor": technique.floor,
        "arguments": dict(technique.arguments),
    }


def task_record(task: Task) -> dict[str, Any]:
    """Return what is registered of a task; its arguments are the dials of its difficulty."""
    return {**_entry_record(task), "dials": dict(task.arguments)}


def load_entries() -> tuple[tuple[Technique, ...], tuple[Task, ...]]:
    """Import and return all techniques and tasks: of the package, of plugins, and of ``tasks/`` here.

    Raises:
        RegistrationError: one of them breaks its contract.
    """
    from interp_bench.harness import discovery
    from interp_bench.harness.folders import task_files, tasks_folder
    from interp_bench.tracks.catalogue import CATALOGUE

    discovery.load_installed()
    found = [task for path in task_files([tasks_folder(Path.cwd())]) for task in discovery.load_tasks(path)]
    techniques = sorted(CATALOGUE.techniques.values(), key=lambda entry: entry.id)
    return tuple(techniques), tuple(sorted(found, key=lambda entry: entry.id))


def description(entry: Entry) -> str:
    """Return the whole docstring of a technique or a task."""
    return inspect.getdoc(entry.function) or entry.summary


def fits(needs: Mapping[str, Any], modality: str | None) -> bool:
    """Return whether models of a modality qualify; any modality does when it is None."""
    modalities: Sequence[str] = needs["modalities"]
    return modality is None or modality in modalities


def needs_text(needs: Mapping[str, Any]) -> str:
    """Return which models qualify, in words."""
    text = ", ".join(needs["kinds"] or needs["modalities"])
    return text if needs["max_params"] is None else f"{text} up to {needs['max_params']:,} parameters"


def _entry_record(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "track": entry.track.name,
        "version": entry.version,
        "summary": entry.summary,
        "needs": _needs_record(entry.needs),
        "quick": None if entry.quick is None else _needs_record(entry.quick),
        "origin": _relative(entry.origin),
    }


def _needs_record(needs: Needs) -> dict[str, Any]:
    return {
        "modalities": list(needs.modalities),
        "kinds": list(needs.kinds),
        "max_params": needs.max_params,
        "min_params": needs.min_params,
    }


def _relative(path: Path) -> str:
    """Return a path without what is particular to this machine where possible."""
    for folder in (Path.cwd().resolve(), PACKAGE.parent):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return str(path)
