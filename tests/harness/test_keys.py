"""The content key changes with everything that decides a result, and with nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

from interp_bench.harness.grid import Cell
from interp_bench.harness.keys import content_key
from interp_bench.harness.trial import CONTROLS


@pytest.fixture
def cell(fakes: ModuleType) -> Cell:
    return next(cell for cell in fakes.grid("reader").cells if cell.row.name == "reader")


def _row(cell: Cell, **changes: Any) -> Cell:
    return dataclasses.replace(cell, row=dataclasses.replace(cell.row, **changes))


def _task(cell: Cell, **changes: Any) -> Cell:
    return dataclasses.replace(cell, task=dataclasses.replace(cell.task, **changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda cell: _row(cell, version=2),
        lambda cell: _row(cell, fingerprint="edited"),
        lambda cell: _row(cell, arguments=MappingProxyType({"factor": 2.0})),
        lambda cell: _row(cell, name="other"),
        lambda cell: _task(cell, version=2),
        lambda cell: _task(cell, arguments=MappingProxyType({"dial": 2.0})),
        lambda cell: dataclasses.replace(cell, seed=9),
        lambda cell: dataclasses.replace(cell, device="cuda"),
        lambda cell: dataclasses.replace(cell, model_revision="r2"),
        lambda cell: dataclasses.replace(cell, control="unplanted"),
        lambda cell: dataclasses.replace(cell, floor=dataclasses.replace(cell.floor, version=2)),
    ],
)
def test_what_decides_the_result_changes_the_key(cell: Cell, change: Any) -> None:
    assert change(cell).key != cell.key


def test_controls_differ_and_the_key_without_one_is_what_it_was_before_there_were_any() -> None:
    class Numbers:
        id, version, arguments = "guessing/numbers", 1, MappingProxyType({"dial": 1})

    fields: dict[str, Any] = {
        "technique": "guessing/half",
        "technique_version": 1,
        "technique_fingerprint": "f",
        "technique_arguments": {"k": 2},
        "floor_version": 1,
        "task": Numbers,
        "model": "small",
        "model_revision": "r1",
        "seed": 3,
        "device": "cpu",
    }
    parts = (
        '{"device":"cpu","floor":1,"model":["small","r1"],"schema":1,"seed":3,'
        '"task":["guessing/numbers",1,{"dial":1}],"technique":["guessing/half",1,"f",{"k":2}]}'
    )
    assert content_key(**fields) == hashlib.sha256(parts.encode()).hexdigest()[:32]
    keys = {content_key(**fields, control=control) for control in ("", *CONTROLS)}
    keys |= {content_key(**fields, seed_secret=secret) for secret in ("", "7b2d6b836214dd06", "0" * 16)}
    assert len(keys) == 6


def test_what_does_not_decide_it_leaves_the_key(cell: Cell) -> None:
    assert _task(cell, summary="Other words.").key == cell.key
    assert dataclasses.replace(cell, spec=dataclasses.replace(cell.spec, ladder="other")).key == cell.key
    assert dataclasses.replace(cell).key == cell.key
