"""The grid holds what applies, in an order in which each problem is planted once."""

from __future__ import annotations

import dataclasses
from itertools import groupby
from types import ModuleType

import pytest

from interp_bench.errors import RegistrationError
from interp_bench.harness.grid import Grid
from interp_bench.harness.trial import CONTROLS
from interp_bench.tracks.catalogue import CATALOGUE, Needs


@pytest.fixture
def full(fakes: ModuleType) -> Grid:
    return dataclasses.replace(fakes.grid("reader", "half", seeds=(0, 1)), specs=fakes.MODELS.specs[:2])


def test_floor_and_ceiling_are_rows_of_every_problem(full: Grid) -> None:
    rows = [cell.row for cell in full.cells if cell.problem == ("guessing/numbers", "small", 1)]
    assert [(row.name, row.role) for row in rows] == [
        ("ceiling", "ceiling"),
        ("random", "floor"),
        ("half", "technique"),
        ("reader", "technique"),
    ]


def test_each_problem_and_each_model_comes_in_one_go_largest_first(full: Grid) -> None:
    problems = [problem for problem, _ in groupby(full.cells, key=lambda cell: cell.problem)]
    assert len(problems) == len(set(problems)) == 4
    assert [name for name, _ in groupby(full.cells, key=lambda cell: cell.spec.id)] == ["large", "small"]


def test_keys_and_names_are_unique(full: Grid) -> None:
    assert len({cell.key for cell in full.cells}) == len({cell.name for cell in full.cells}) == 16


def test_needs_that_are_not_met_are_explained_and_not_run(full: Grid) -> None:
    half = dataclasses.replace(CATALOGUE.techniques["guessing/half"], needs=Needs(max_params=100))
    grid = dataclasses.replace(full, techniques=[half])
    assert {cell.spec.id for cell in grid.cells if cell.row.name == "half"} == {"small"}
    assert {cell.spec.id for cell in grid.cells if cell.row.name == "random"} == {"small", "large"}
    (absent,) = grid.explain()
    assert absent.what == "guessing/half on large"
    assert "at most 100 parameters" in absent.reason


def test_the_quick_tier_keeps_a_task_to_the_models_it_names(full: Grid) -> None:
    task = dataclasses.replace(CATALOGUE.tasks["guessing/numbers"], quick=Needs(max_params=100))
    grid = dataclasses.replace(full, tasks=[task], brief=True)
    assert {cell.spec.id for cell in grid.cells} == {"small"}
    assert [absent.what for absent in grid.explain()] == ["guessing/numbers on large"]
    assert "in the quick tier; name a task" in grid.explain()[0].reason
    named = dataclasses.replace(grid, brief=False)
    assert {cell.spec.id for cell in named.cells} == {"small", "large"}


def test_the_quick_tier_keeps_a_dear_technique_to_the_models_it_names(full: Grid) -> None:
    half = dataclasses.replace(CATALOGUE.techniques["guessing/half"], quick=Needs(max_params=100))
    grid = dataclasses.replace(full, techniques=[half], brief=True)
    assert {cell.spec.id for cell in grid.cells if cell.row.name == "half"} == {"small"}
    assert {cell.spec.id for cell in grid.cells if cell.row.name == "ceiling"} == {"small", "large"}
    assert "in the quick tier; name a task or a model" in grid.explain()[0].reason
    named = dataclasses.replace(grid, brief=False)
    assert {cell.spec.id for cell in named.cells if cell.row.name == "half"} == {"small", "large"}


def test_a_task_that_needs_room_is_kept_off_small_models(full: Grid) -> None:
    task = dataclasses.replace(CATALOGUE.tasks["guessing/numbers"], needs=Needs(min_params=1000))
    grid = dataclasses.replace(full, tasks=[task])
    assert "small" not in {cell.spec.id for cell in grid.cells}
    assert "has room from 1,000 parameters on" in grid.explain()[0].reason


def test_a_task_whose_needs_are_not_met_asks_nobody(full: Grid) -> None:
    task = dataclasses.replace(CATALOGUE.tasks["guessing/numbers"], needs=Needs(modalities=("image",)))
    grid = dataclasses.replace(full, tasks=[task])
    assert grid.cells == ()
    assert {absent.what for absent in grid.explain()} == {
        "guessing/numbers on small",
        "guessing/numbers on large",
    }


def test_a_technique_without_a_task_is_explained(full: Grid) -> None:
    grid = dataclasses.replace(full, tasks=[])
    assert grid.cells == ()
    assert "no task of the guessing track is selected" in {absent.reason for absent in grid.explain()}


def test_a_track_needs_a_floor(full: Grid) -> None:
    with pytest.raises(RegistrationError, match="no technique of the guessing track guesses"):
        _ = dataclasses.replace(full, floors={}).cells


def test_the_name_of_the_ceiling_is_taken(full: Grid) -> None:
    technique = dataclasses.replace(CATALOGUE.techniques["guessing/half"], name="ceiling")
    with pytest.raises(RegistrationError, match="belongs to the row of the truth"):
        _ = dataclasses.replace(full, techniques=[technique]).cells


def test_controls_follow_their_problem_and_leave_out_the_truth(fakes: ModuleType, full: Grid) -> None:
    fakes.offer_controls("unplanted", "shuffled")
    grid = dataclasses.replace(full, controls=CONTROLS)
    problems = [problem for problem, _ in groupby(grid.cells, key=lambda cell: cell.problem)]
    assert len(problems) == len(set(problems)) == 4
    rows = [(cell.control, cell.row.name) for cell in grid.cells if cell.problem == problems[0]]
    assert rows == [
        *[("", name) for name in ("ceiling", "random", "half", "reader")],
        *[("unplanted", name) for name in ("random", "half", "reader")],
        *[("shuffled", name) for name in ("random", "half", "reader")],
    ]
    assert {cell.key for cell in full.cells} < {cell.key for cell in grid.cells}
    assert len({cell.key for cell in grid.cells}) == len({cell.name for cell in grid.cells}) == 40
    assert grid.cells[5].name.endswith("-0-unplanted]")
    (absent,) = grid.explain()
    assert (absent.what, absent.reason) == (
        "control rerandomised of guessing", "the track has no such control",
    )  # fmt: skip


def test_few_controls_keep_to_small_models_one_task_and_the_first_seed(fakes: ModuleType, full: Grid) -> None:
    fakes.offer_controls(*CONTROLS)
    numbers = CATALOGUE.tasks["guessing/numbers"]
    tasks = [
        dataclasses.replace(numbers, name="a", quick=Needs()),
        dataclasses.replace(numbers, name="c"),
        dataclasses.replace(numbers, name="b"),
    ]
    sizes = {"big": 250_001, "limit": 250_000, "middle": 100_001, "little": 100_000}
    specs = [fakes.FakeSpec(id=name, params=params) for name, params in sizes.items()]
    grid = dataclasses.replace(
        full, tasks=tasks, specs=specs, seeds=(4, 2), controls=CONTROLS, few_controls=True
    )
    asked = {(cell.spec.id, cell.task.name, cell.seed) for cell in grid.cells if cell.control}
    assert asked == {(name, "b", 4) for name in ("limit", "middle", "little")}
    found = {name: {cell.control for cell in grid.cells if cell.spec.id == name} for name in sizes}
    assert found == {
        "big": {""},
        "limit": {"", "unplanted", "shuffled"},
        "middle": {"", "unplanted", "shuffled"},
        "little": {"", *CONTROLS},
    }
    alone = dataclasses.replace(grid, controls=("rerandomised",))
    assert {cell.spec.id for cell in alone.cells if cell.control} == {"little"}
