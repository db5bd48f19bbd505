"""Options select techniques, tasks, models and seeds, and refuse names that nothing has."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from interp_bench.errors import InterpBenchError, RegistrationError
from interp_bench.harness.selection import (
    parse_seeds,
    select_controls,
    select_models,
    select_tasks,
    select_techniques,
)
from interp_bench.tracks.catalogue import CATALOGUE


def _models(fakes: ModuleType, *names: str, tier: str = "quick") -> list[str]:
    return [spec.id for spec in select_models(names, fakes.MODELS, tier)]


def test_a_tier_holds_those_before_it(fakes: ModuleType) -> None:
    assert "huge" not in _models(fakes)
    assert "huge" not in _models(fakes, tier="standard")
    assert _models(fakes, tier="full") == ["small", "large", "far-away", "image-one", "huge"]


def test_models_are_found_by_id_pattern_and_ladder(fakes: ModuleType) -> None:
    assert _models(fakes, "small") == ["small"]
    assert _models(fakes, "pictures", "small") == ["image-one", "small"]
    assert _models(fakes, "fake") == ["small", "large", "far-away"]


def test_a_full_id_goes_beyond_the_tier_and_a_pattern_does_not(fakes: ModuleType) -> None:
    assert _models(fakes, "huge") == ["huge"]
    with pytest.raises(InterpBenchError, match="beyond the quick tier; add --bench-tier full"):
        _models(fakes, "hug*")


def test_unknown_models_are_refused_with_a_near_name(fakes: ModuleType) -> None:
    with pytest.raises(InterpBenchError, match=r"no model or ladder is called 'smal' .did you mean 'small'"):
        _models(fakes, "smal")


def test_techniques_bring_their_floor(fakes: ModuleType) -> None:
    for names in (("half",), ("guessing/half",), ("ha*",), ("half", "half")):
        chosen, floors = select_techniques(names, CATALOGUE, root=Path())
        assert [technique.name for technique in chosen] == ["half"]
        assert floors["guessing"].name == "random"
    assert {t.name for t in select_techniques((), CATALOGUE, root=Path())[0]} == {"random", "half", "reader"}
    assert [t.name for t in select_techniques(("ceiling",), CATALOGUE, root=Path())[0]] == ["random"]


def test_unknown_techniques_are_refused(fakes: ModuleType) -> None:
    with pytest.raises(InterpBenchError, match=r"no technique is called 'raeder' .did you mean"):
        select_techniques(("raeder",), CATALOGUE, root=Path())
    with pytest.raises(RegistrationError, match="there is no such file"):
        select_techniques(("missing.py",), CATALOGUE, root=Path("/nowhere"))


def test_tasks_are_found_by_name_and_track(fakes: ModuleType) -> None:
    tasks = tuple(CATALOGUE.tasks.values())
    for name in ("numbers", "guessing/numbers", "guessing", "num*"):
        assert select_tasks((name,), tasks) == tasks
    with pytest.raises(InterpBenchError, match=r"no task is called 'number' .did you mean 'numbers'"):
        select_tasks(("number",), tasks)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", (0, 1, 2)), ("1", (0,)), ("0,5,7", (0, 5, 7)), ("5,", (5,)), (" 2 , 2, 1", (2, 1))],
)
def test_seeds_are_a_number_or_a_list(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "1;2", ",", "5000", "1,,2", "1,-2"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(InterpBenchError, match="--bench-seeds is"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("names", "controls"),
    [
        ([], ()),
        (["none"], ()),
        (["all"], ("unplanted", "rerandomised", "shuffled")),
        (["shuffled", "all"], ("unplanted", "rerandomised", "shuffled")),
        (["shuffled", "unplanted", "shuffled"], ("unplanted", "shuffled")),
    ],
)
def test_controls_are_selected(names: list[str], controls: tuple[str, ...]) -> None:
    assert select_controls(names) == controls


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["unplantd"], "no control is called 'unplantd' .did you mean 'unplanted'"),
        (["none", "all"], "none takes no other"),
    ],
)
def test_unknown_controls_are_refused(names: list[str], words: str) -> None:
    with pytest.raises(InterpBenchError, match=words):
        select_controls(names)
