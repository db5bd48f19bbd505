"""What a section found, kept in a file of its own with where and when it was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from interp_bench.harness.provenance import provenance

from .plants import technique
from .sections import Section

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results")
DIGITS = 5


class Result(BaseModel):
    """The values of one section.

    Attributes:
        section: its name.
        seeds: plants a cell.
        command: what measured it.
        seconds: of one processor, all processes together.
        day: when it ended.
        interp_bench, git_commit, torch, platform: what it ran with.
        versions: technique id -> version.
        values: by metric, technique and unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    section: str
    seeds: int
    command: str
    seconds: float
    day: str
    interp_bench: str
    git_commit: str
    torch: str
    platform: str
    versions: Mapping[str, int]
    values: Mapping[str, Mapping[str, Mapping[str, float]]]


def result(
    section: Section, values: Any, *, seeds: int, command: str, seconds: float, threads: int
) -> Result:
    """Return what a section found, with where and when."""
    about = provenance(device="cpu", threads=threads, project=ROOT)
    return Result(
        section=section.name,
        seeds=seeds,
        command=command,
        seconds=round(seconds, 1),
        day=about.started_at[:10],
        interp_bench=about.interp_bench,
        git_commit=about.git_commit,
        torch=about.torch,
        platform=about.platform,
        versions=versions(section),
        values={
            m: {t: {u: round(v, DIGITS) for u, v in units.items()} for t, units in by.items()}
            for m, by in values.items()
        },
    )


def versions(section: Section) -> dict[str, int]:
    """Return today's versions of the techniques of a section."""
    return {name: technique(name).version for name in section.techniques}


def save(found: Result, folder: Path = RESULTS) -> Path:
    """Write a section's file, over the one that was there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.section}.json"
    path.write_text(json.dumps(found.model_dump(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def load(name: str, folder: Path = RESULTS) -> Result | None:
    """Return what a section found when it was last measured; None where it was not."""
    path = folder / f"{name}.json"
    return Result.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None
