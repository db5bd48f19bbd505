"""Checks of what a technique does: what it leaves behind, what it answers, what it uses of the model."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import torch

from interp_bench.errors import ContractError
from interp_bench.testing.exam import Exam
from interp_bench.testing.questions import Question, Variant
from interp_bench.testing.visits import Visit

_FREE = re.compile(r"none|nothing|no forwards?", re.IGNORECASE)


def check_leaves_weights_and_problem(exam: Exam) -> None:
    """Weights, buffers and every field of the problem are as they were, by checksum."""
    _left_nothing(exam, "content")


def check_leaves_network_state(exam: Exam) -> None:
    """Hooks, training modes, `requires_grad` flags and gradients are as they were."""
    _left_nothing(exam, "module")


def check_leaves_process_state(exam: Exam) -> None:
    """Grad mode, default dtype, threads, global seeds, streams and signal handlers are as they were."""
    _left_nothing(exam, "process")


def _left_nothing(exam: Exam, kind: str) -> None:
    for question, seen in exam.visits():
        found: tuple[str, ...] = getattr(seen, kind)
        if found:
            raise ContractError(f"on {question.modality}: {'; '.join(found)}")


def check_answers(exam: Exam) -> None:
    """The answer is of the track's type, with the shape, the site and the values that it asks for."""
    for question, seen in exam.visits():
        _valid(exam, question, seen)


def check_answers_on_every_modality(exam: Exam) -> None:
    """On each modality that `needs` names it has a meaning."""
    for question in exam.questions:
        seen = exam.visit(question)
        if seen.inapplicable:
            raise ContractError(
                f"claims {question.modality} models and says of one: {seen.error}; narrow needs="
            )
        _valid(exam, question, seen)


def check_answers_in_bfloat16(exam: Exam) -> None:
    """On a network of 16-bit weights the answer is as valid."""
    _valid_on(exam, "bfloat16")


def check_answers_the_smallest_problem(exam: Exam) -> None:
    """With one or two inputs it answers, or says that it is inapplicable."""
    _valid_on(exam, "smallest")


def _valid_on(exam: Exam, variant: Variant) -> None:
    for question, seen in exam.visits(variant):
        _valid(exam, question, seen, f" ({variant})")


def _valid(exam: Exam, question: Question, seen: Visit, variant: str = "") -> None:
    where = f"on {question.modality}{variant}"
    if seen.error is not None:
        error = seen.error
        raise ContractError(f"{where}: raised {type(error).__name__}: {error}") from error
    expected = exam.track.answer_type
    if not isinstance(seen.answer, expected):
        raise ContractError(f"{where}: answered a {type(seen.answer).__name__}, not a {expected.__name__}")
    try:
        exam.track.check(seen.planted.problem, seen.answer)
    except ContractError as error:
        raise ContractError(f"{where}: {error}") from error


def check_answers_twice_alike(exam: Exam) -> None:
    """The same seed gives the same answer bit for bit, on a problem that was planted anew too."""
    for question, first in exam.visits():
        second = exam.visit(question, "again")
        if first.error is not None or second.error is not None:
            raise ContractError(f"on {question.modality}: raised {first.error or second.error!r}")
        name = _difference(first.answer, second.answer)
        if name is not None:
            raise ContractError(
                f"on {question.modality}: {name} differs between two calls with the same seed; "
                "draw from problem.rng or problem.generator(), and remember nothing between calls"
            )


def _difference(one: Any, other: Any) -> str | None:
    """Return the name of a field in which two answers differ."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            if not _equal(a, b):
                return field.name
        elif a != b:
            return field.name
    return None


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are alike; what is no number in both (where no edge is) is alike too."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


def check_uses_the_access_it_declares(exam: Exam) -> None:
    """`gradients` runs backward passes, and nothing else does; `activations` replaces none.

    `activations` reads what the network does on its own; `forward` may run it on other inputs and with
    other activations too; `gradients` runs backward passes through it; `weights` reads its parameters.
    """
    access = exam.technique.access
    passes = [seen.passes for _, seen in exam.visits()]
    backwards = sum(one.backwards for one in passes)
    if backwards and access != "gradients":
        raise ContractError(f"declares access={access!r} and runs {backwards} backward pass(es)")
    if not backwards and access == "gradients":
        raise ContractError("declares access='gradients' and runs no backward pass through the model")
    if access == "activations" and any(one.patches for one in passes):
        raise ContractError("declares access='activations' and replaces some; declare 'forward'")


def check_costs_what_it_declares(exam: Exam) -> None:
    """Where `cost` is 'none' no pass is run; the kinds of passes that it names are run."""
    cost = exam.technique.cost
    passes = [seen.passes for _, seen in exam.visits()]
    forwards, backwards = sum(one.forwards for one in passes), sum(one.backwards for one in passes)
    if _FREE.fullmatch(cost.strip()):
        if forwards or backwards:
            raise ContractError(
                f"declares cost={cost!r} and runs {forwards} forward and {backwards} backward pass(es)"
            )
        return
    for word, count in (("forward", forwards), ("backward", backwards)):
        if word in cost and not count:
            raise ContractError(f"declares cost={cost!r} and runs no {word} pass")
