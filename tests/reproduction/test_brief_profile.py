"""The gates run: every section on its smallest cells with the fewest steps, two plants each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reproduce import features
from benchmarks.reproduce.__main__ import SECTIONS, assembled, main
from benchmarks.reproduce.measuring import measured
from benchmarks.reproduce.page import judgements
from benchmarks.reproduce.stored import Result, load

SEEDS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("results")
    arguments = ["--brief", "--seeds", str(SEEDS), "--results", str(found), "--write", str(found / "page.md")]
    assert main(arguments) == 0
    return found


def result(folder: Path, name: str) -> Result:
    found = load(name, folder)
    assert found is not None
    return found


@pytest.mark.parametrize("name", SECTIONS)
def test_every_technique_has_a_value_for_each_plant(folder: Path, name: str) -> None:
    for metric, by_technique in result(folder, name).values.items():
        units = [set(found) for found in by_technique.values()]
        assert units == [units[0]] * len(units), metric
        assert len(units[0]) == SEEDS, metric


@pytest.mark.parametrize("name", ["features", "circuits", "concepts"])
def test_every_statement_is_judged(folder: Path, name: str) -> None:
    found = judgements(SECTIONS[name], result(folder, name))
    assert len(found) == len(SECTIONS[name].statements)
    text = (folder / "page.md").read_text(encoding="utf-8")
    assert [one.statement for one in found if one.statement not in text] == []


def test_what_no_small_scale_can_turn_round(folder: Path) -> None:
    """Patching finds circuits, chance does not; areas add up; all neurons change the other variable too."""
    circuits = result(folder, "circuits").values
    patching, chance = (circuits["auroc"][name] for name in ("activation_patching", "random"))
    assert all(patching[unit] > 0.9 > chance[unit] for unit in patching)
    assert min(v for found in circuits["cpr + cmd"].values() for v in found.values()) >= 1 - 1e-4
    concepts = result(folder, "concepts").values
    assert max(concepts["isolate"]["full_vector"].values()) < 0.5
    assert min(concepts["cause"]["full_vector"].values()) > 0.9


def test_a_section_says_where_it_comes_from(folder: Path) -> None:
    for section, found in assembled(folder):
        assert found is not None
        assert found.command.startswith("python -m benchmarks.reproduce --brief")
        assert found.day > "2020"
        assert found.versions.keys() == set(section.techniques)


@pytest.mark.slow
def test_processes_find_what_one_finds() -> None:
    section = replace(features.SECTION, cells=(("MatchingPursuit",), ("BatchTopK",)), brief_cells=2)
    one, two = (measured(section, seeds=SEEDS, brief=True, jobs=jobs, command="").values for jobs in (1, 2))
    assert one == two
