"""Circuits people know: what they compute by hand, and that they are certified."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from interp_bench.harness.discovery import load_file
from interp_bench.model.opening import open_model
from interp_bench.planting.circuits.bracket_depth import CLOSE, OPEN, bracket_depth
from interp_bench.planting.circuits.duplicate_token import duplicate_token
from interp_bench.planting.circuits.greater_than import greater_than, spans
from interp_bench.planting.circuits.ioi import ioi, sentences
from interp_bench.planting.circuits.visual_induction import visual_induction
from interp_bench.planting.programs.instructions import Program
from interp_bench.planting.programs.interpreter import result, run
from interp_bench.registry import load_registry
from interp_bench.tracks.catalogue import CATALOGUE

TASKS = Path(__file__).parents[2] / "tasks" / "circuits"


def answer(program: Program, tokens: list[int]) -> int:
    attributes = torch.tensor([-1, *tokens])[None, :, None]
    return int(result(program, run(program, attributes, n_prefix=1)))


@pytest.mark.parametrize(
    ("tokens", "expected"), [([3, 1, 2, 3], 1), ([3, 1, 2, 0], 0), ([1, 1, 2, 3], 0), ([3, 3, 3, 3], 1)]
)
def test_a_duplicate_is_a_token_that_occurred_before(tokens: list[int], expected: int) -> None:
    assert answer(duplicate_token(n_tokens=4, length=4), tokens) == expected


@pytest.mark.parametrize(("text", "expected"), [("()()", 1), ("))((", 1), ("((()", 2), ("())(" + ")", 0)])
def test_depth_is_opening_minus_closing_brackets(text: str, expected: int) -> None:
    text = text if len(text) % 2 == 0 else text + ")"
    tokens = [OPEN if bracket == "(" else CLOSE for bracket in text]
    assert answer(bracket_depth(length=len(text)), tokens) == expected


def test_an_odd_number_of_brackets_is_refused() -> None:
    with pytest.raises(ValueError, match="length is 7"):
        bracket_depth(length=7)


BLANK = -1


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([0, BLANK, 1, 0, BLANK], 1),
        ([0, 1, BLANK, 1, BLANK], 0),
        ([2, 1, 2, BLANK, BLANK], 1),
        ([BLANK, 1, 1, 0, BLANK], 0),
    ],
)
def test_the_indirect_object_is_the_name_that_is_not_repeated(tokens: list[int], expected: int) -> None:
    assert answer(ioi(n_names=3, length=5, n_blank=2), tokens) == expected


def test_every_sentence_repeats_one_of_two_names_and_ends_blank() -> None:
    for sentence in sentences(200, 4, 7, torch.Generator().manual_seed(0))[..., 0]:
        names = sentence[sentence >= 0].tolist()
        assert sentence[-1] == BLANK
        assert len(names) == 3
        assert len(set(names)) == 2
        assert names[2] in names[:2]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([BLANK, 5, 2, BLANK, 3], 1),
        ([BLANK, 5, 3, BLANK, 2], 0),
        ([4, 5, 2, BLANK, 3], 1),
        ([0, 5, 3, 1, 3], 0),
    ],
)
def test_the_last_number_is_compared_with_the_one_behind_from(tokens: list[int], expected: int) -> None:
    assert answer(greater_than(n_numbers=5, length=5, n_blank=2), tokens) == expected


def test_every_span_has_one_start_an_idle_number_and_an_end() -> None:
    for span in spans(200, 5, 7, torch.Generator().manual_seed(0))[..., 0].tolist():
        start = span.index(5)
        others = [number for number in span if number not in (BLANK, 5)]
        assert span[start + 1] in others
        assert span[-1] in others
        assert len(others) == len(set(others)) == 3


@pytest.mark.parametrize(("patterns", "expected"), [([2, 0, 1, 3, 0], 1), ([3, 1, 0, 2, 3], 1)])
def test_induction_over_patches_gives_what_followed(patterns: list[int], expected: int) -> None:
    attributes = torch.tensor([-1, *patterns])[None, :, None]
    program = visual_induction(n_patterns=4)
    assert int(result(program, run(program, attributes, n_prefix=1, causal=False))) == expected


def test_every_image_shows_all_patterns_and_one_that_was_followed_again() -> None:
    program = visual_induction(n_patterns=4)
    assert program.draw is not None
    for shown in program.draw(100, torch.Generator().manual_seed(0))[..., 0].tolist():
        assert sorted(shown[:-1]) == [0, 1, 2, 3]
        assert shown[-1] in shown[:-2]


CERTIFIED = [
    *itertools.product(["duplicate_token", "bracket_depth", "ioi", "greater_than"],
                       ["native-150k", "native-rope-1m"]),
    ("visual_induction", "vit-slim-200k"),
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("name", "model"), CERTIFIED)
def test_they_are_certified(name: str, model: str, seed: int) -> None:
    load_file(TASKS / f"bench_{name}.py")
    planted = CATALOGUE.tasks[f"circuits/{name}"].function(open_model(load_registry().get(model)), seed)
    assert planted.certificate.passed, planted.certificate.reason
    checks = {check.name: check.value for check in planted.certificate.checks}
    assert checks["behaviour"] >= 0.99
    assert sum(name.startswith("interchange") for name in checks) == len(planted.truth.edges)
