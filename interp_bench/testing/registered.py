"""Checks of what a technique registers: they call nothing."""

from __future__ import annotations

import inspect
import re
from typing import get_args

from interp_bench.errors import ContractError
from interp_bench.testing.exam import Exam
from interp_bench.tracks.catalogue import Access


def check_says_where_it_comes_from(exam: Exam) -> None:
    """`cites` names a source (a guess may say that it is chance)."""
    technique = exam.technique
    if not technique.floor and not re.search(r"[A-Z]", technique.cites):
        raise ContractError(
            f"cites={technique.cites!r} names nobody; say which paper, book or library it comes from"
        )


def check_says_what_it_costs(exam: Exam) -> None:
    """`cost` and `access` are given, in words that the tables can show."""
    technique = exam.technique
    if not technique.cost.strip():
        raise ContractError("cost is empty; say what a call costs, such as '2 forwards + 1 backward'")
    if technique.access not in get_args(Access):
        raise ContractError(f"access={technique.access!r} is none of {', '.join(get_args(Access))}")


def check_says_what_it_does(exam: Exam) -> None:
    """The first line of the docstring is a sentence."""
    summary = exam.technique.summary
    if not (summary[:1].isupper() and summary.endswith(".")):
        raise ContractError(f"the docstring begins {summary!r}; begin with one sentence, for the tables")


def check_explains_its_arguments(exam: Exam) -> None:
    """Every argument has a line `name: what it is` in the docstring, or is named there in backticks."""
    text = inspect.getdoc(exam.technique.function) or ""
    missing = [name for name in exam.technique.arguments if not _explained(name, text)]
    if missing:
        raise ContractError(
            f"the docstring does not explain {', '.join(missing)}; add 'Args:' with a line for each"
        )


def _explained(name: str, text: str) -> bool:
    return re.search(rf"^\s*[\w, ]*\b{name}\b[\w, ]*:|`{name}`", text, re.MULTILINE) is not None
