"""Trials survive the way through JSON lines, and a damaged line is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_bench.analysis.cells import newest
from interp_bench.board import jsonl
from interp_bench.errors import StoreError
from interp_bench.harness.trial import Trial


def test_round_trip_keeps_every_trial(board, tmp_path):
    files = jsonl.export(board, tmp_path)
    assert [path.name for path in files] == [
        "attribution.jsonl",
        "circuits.jsonl",
        "concepts.jsonl",
        "features.jsonl",
    ]
    assert newest(jsonl.read(tmp_path)) == newest(board)


def test_bytes_do_not_depend_on_the_order(board, tmp_path):
    first = [path.read_bytes() for path in jsonl.export(board, tmp_path / "a")]
    second = [path.read_bytes() for path in jsonl.export(board[::-1], tmp_path / "b")]
    third = [path.read_bytes() for path in jsonl.export(jsonl.read(tmp_path / "a"), tmp_path / "c")]
    assert first == second == third


def test_lines_are_sorted_and_keys_are_stable(board, tmp_path):
    jsonl.export(board, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "circuits.jsonl").read_text("utf-8").splitlines()]
    order = [(row["task"], row["model"], row["technique"], row["seed"]) for row in rows]
    assert order == sorted(order)
    assert all(list(row) == sorted(row) for row in rows)


def test_files_of_other_tracks_stay(make_trial, tmp_path):
    jsonl.export([make_trial(track="concepts")], tmp_path)
    jsonl.export([make_trial()], tmp_path)
    assert {trial.track for trial in jsonl.read(tmp_path)} == {"concepts", "features"}
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", ".jsonl"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_exact(skill):
    provenance = {"interp_bench": "0", "python": "3", "started_at": "2026"}
    trial = Trial(
        key="k", run_id="r", technique="t", track="x", task="y", model="m", seed=0, status="ok", primary="p",
        skill=skill, technique_version=1, task_version=1, model_revision="r", params=1, modality="lm",
        kind="native", provenance=provenance,
    )  # fmt: skip
    assert Trial.model_validate_json(jsonl.line(trial)) == trial


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda line: line[:40], "Invalid JSON"),
        (lambda line: line.replace('"status": "ok"', '"status": "fine"'), "status: Input should be 'ok'"),
        (lambda line: line.replace('"seed": 0', '"seed": "zero"'), "seed: Input should be a valid integer"),
        (lambda line: line.replace('"seed": 0, ', ""), "seed: Field required"),
        (
            lambda line: line.replace('"seed": 0', '"seed": 0, "sead": 1'),
            "sead: Extra inputs are not permitted",
        ),
        (lambda line: line.replace('"skill": 0.8', '"skill": NaN'), "skill: Input should be a finite number"),
    ],
)
def test_damaged_line_is_named_in_one_line(make_trial, tmp_path, damage, message):
    good = jsonl.line(make_trial(seed=1))
    bad = damage(jsonl.line(make_trial()))
    (tmp_path / "features.jsonl").write_text(f"{good}\n{bad}\n", "utf-8")
    with pytest.raises(StoreError) as caught:
        jsonl.read(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/features.jsonl:2: not a trial: ")
    assert message in text
    assert "\n" not in text


def test_empty_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(StoreError, match="interp-bench export"):
        jsonl.read(tmp_path)


def test_unwritable_folder_is_one_line(make_trial, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        jsonl.export([make_trial()], tmp_path / "file" / "folder")


def test_only_trials_of_secret_seeds_name_their_secret(make_trial):
    assert "seed_secret" not in jsonl.line(make_trial())
    written = jsonl.line(make_trial(seed_secret="7b2d6b836214dd06"))
    assert '"seed_secret": "7b2d6b836214dd06"' in written


def test_controls_are_written_beside_the_trial_that_they_belong_to(make_trial, tmp_path):
    plain = make_trial()
    controls = [make_trial(control=name, key=name) for name in ("shuffled", "unplanted")]
    jsonl.export([*controls, plain], tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "features.jsonl").read_text("utf-8").splitlines()]
    assert [row.get("control") for row in rows] == [None, "shuffled", "unplanted"]
    assert jsonl.read(tmp_path) == (plain, *controls)
