"""The lists: what they hold, what their JSON looks like, and what the filters do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import interp_bench
from interp_bench.cli import listing
from interp_bench.harness import discovery
from interp_bench.tracks.catalogue import CATALOGUE


@pytest.fixture(autouse=True)
def shipped_only(monkeypatch):
    """Hide what other tests have registered from files of their own."""
    discovery.load_installed()
    package = Path(interp_bench.__file__).resolve().parent
    shipped = {name: t for name, t in CATALOGUE.techniques.items() if t.origin.is_relative_to(package)}
    monkeypatch.setattr(CATALOGUE, "techniques", shipped)
    monkeypatch.setattr(CATALOGUE, "tasks", {})


def ids(ran):
    assert (ran.status, ran.err) == (0, "")
    return [record["id"] for record in json.loads(ran.out)]


def test_models_table_names_all_and_counts_those_here(run):
    ran = run("models")
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()[2:6]] == [
        "native-small",
        "native-large",
        "resnet-absent",
        "resnet-random",
    ]
    assert ran.out.endswith("4 models on 2 ladders, 3 of them can be opened here\n")


def test_models_json_is_a_list_of_objects(run):
    records = json.loads(run("models", "--json").out)
    here, absent = records[0], records[2]
    assert here == {
        "id": "native-small",
        "params": 1000,
        "modality": "lm",
        "ladder": "native-ln",
        "kind": "native",
        "tier": "quick",
        "available": True,
        "reason": None,
        "license": "Apache-2.0",
        "capability": None,
        "memory_gb": 1.0,
        "revision": here["revision"],
    }
    assert len(here["revision"]) == 16
    assert absent["available"] is False
    assert "absent.safetensors" in absent["reason"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--tier", "quick"], ["native-small", "resnet-absent"]),
        (["--tier", "standard"], ["native-small", "native-large", "resnet-absent"]),
        (["--ladder", "pair"], ["resnet-absent", "resnet-random"]),
        (["--modality", "lm", "--tier", "quick"], ["native-small"]),
        (["--modality", "image", "--ladder", "native-ln"], []),
    ],
)
def test_filters_of_models(run, filters, expected):
    assert ids(run("models", "--json", *filters)) == expected


def test_empty_list_is_still_a_table(run):
    ran = run("models", "--modality", "image", "--ladder", "native-ln")
    assert ran.status == 0
    assert ran.out.endswith("0 models on 0 ladders, 0 of them can be opened here\n")


TECHNIQUE = {
    "id": str, "name": str, "track": str, "version": int, "summary": str, "needs": dict, "origin": str,
    "access": str, "cost": str, "cites": str, "floor": bool, "arguments": dict,
}  # fmt: skip
TASK = {
    "id": str, "name": str, "track": str, "version": int, "summary": str, "needs": dict, "origin": str,
    "dials": dict,
}  # fmt: skip


@pytest.mark.parametrize(("command", "schema"), [("techniques", TECHNIQUE), ("tasks", TASK)])
def test_json_of_techniques_and_tasks(run, command, schema):
    records = json.loads(run(command, "--json").out)
    assert records
    for record in records:
        quick = record.pop("quick", None)
        assert quick is None or quick.keys() == record["needs"].keys()
        assert {key: type(value) for key, value in record.items()} == schema
        assert record["id"] == f"{record['track']}/{record['name']}"
        assert not record["origin"].startswith("/")
        assert set(record["needs"]) == {"modalities", "kinds", "max_params", "min_params"}
    assert [record["id"] for record in records] == sorted(record["id"] for record in records)


@pytest.mark.parametrize("command", ["techniques", "tasks"])
def test_tables_and_filters_of_techniques_and_tasks(run, command):
    everything = ids(run(command, "--json"))
    track = everything[0].split("/")[0]
    chosen = ids(run(command, "--json", "--track", track))
    assert chosen == [name for name in everything if name.startswith(f"{track}/")]
    table = run(command, "--track", track)
    assert [line.split()[0] for line in table.out.splitlines()[2 : 2 + len(chosen)]] == chosen
    assert f"{len(chosen)} {command[:-1]}" in table.out
    images = json.loads(run(command, "--json", "--modality", "image").out)
    assert all("image" in record["needs"]["modalities"] for record in images)


def test_each_track_has_one_floor(run):
    records = json.loads(run("techniques", "--json").out)
    floors = [record["track"] for record in records if record["floor"]]
    assert sorted(floors) == sorted({record["track"] for record in records})


def test_show_a_model(run):
    ran = run("show", "native-small")
    assert ran.status == 0
    assert "ladder       native-ln" in ran.out
    (record,) = json.loads(run("show", "native-small", "--json").out)
    assert record["source"]["seed"] == 1


def test_show_a_technique_by_name_and_by_id(run):
    by_name = json.loads(run("show", "random", "--json").out)
    assert len(by_name) > 1
    (by_id,) = json.loads(run("show", by_name[0]["id"], "--json").out)
    assert by_id == by_name[0]
    assert by_id["description"].startswith(by_id["summary"])
    assert by_id["cites"] in run("show", by_id["id"]).out


def test_show_a_task(run):
    first = json.loads(run("tasks", "--json").out)[0]
    assert first["summary"] in run("show", first["name"]).out


def test_last_column_is_cut_in_a_terminal_only(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert max(map(len, run("models").out.splitlines())) > 100
    monkeypatch.setattr(listing, "_in_terminal", lambda: True)
    assert max(map(len, run("models").out.splitlines())) <= 100


def test_listing_models_starts_without_torch():
    code = (
        "import sys; from interp_bench.cli import main; status = main(['models']); "
        "sys.exit(status or ('torch' in sys.modules) or ('scipy' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
