"""The contract suite as authors use it: one call, or a pytest decorator with an item a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import pytest

from interp_bench.errors import ContractError, Inapplicable, InterpBenchError, near_name
from interp_bench.harness.discovery import load_installed
from interp_bench.testing import behaviour, registered, science
from interp_bench.testing.exam import Exam
from interp_bench.tracks.catalogue import CATALOGUE, Technique

Named = Technique | Callable[..., Any] | str
"""A technique: registered, as the decorated function, or by its name (``track/name`` or ``name``)."""

CHECKS: Mapping[str, Callable[[Exam], None]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            registered.check_says_where_it_comes_from,
            registered.check_says_what_it_costs,
            registered.check_says_what_it_does,
            registered.check_explains_its_arguments,
            behaviour.check_answers,
            behaviour.check_answers_on_every_modality,
            behaviour.check_leaves_weights_and_problem,
            behaviour.check_leaves_network_state,
            behaviour.check_leaves_process_state,
            behaviour.check_uses_the_access_it_declares,
            behaviour.check_costs_what_it_declares,
            behaviour.check_answers_twice_alike,
            behaviour.check_answers_in_bfloat16,
            behaviour.check_answers_the_smallest_problem,
            science.check_knows_nothing_of_other_truths,
            science.check_does_not_depend_on_the_basis,
        )
    }
)
"""Every check by its name, in the order in which they are run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check found.

    Attributes:
        check: its name.
        status: ``skipped`` where it has no meaning for the technique, ``expected`` where it failed as
            was said before.
        reason: why it did not pass.
    """

    check: str
    status: Literal["passed", "failed", "expected", "skipped"]
    reason: str = ""


def check_technique(
    technique: Named,
    *,
    expected_failures: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    invariances: tuple[str, ...] = (),
) -> tuple[Result, ...]:
    """Run all checks on one technique.

    Args:
        technique: the decorated function, or its name.
        expected_failures: name of a check -> why the technique fails it.
        arguments: keyword arguments to call it with in place of its defaults, such as fewer steps.
        invariances: what changes nothing, by its author's word: ``residual_rotation``.

    Returns:
        What each check found, all of them passed, skipped or expected.

    Raises:
        ContractError: a check failed, or one that is expected to fail passed; every one is named.
        InterpBenchError: there is no such technique or check.
    """
    entry = registered_technique(technique)
    expected = dict(expected_failures or {})
    _known_checks(expected)
    exam = Exam(entry, arguments or {}, invariances)
    results = tuple(_result(name, exam, expected.get(name)) for name in CHECKS)
    failed = [f"{result.check}: {result.reason}" for result in results if result.status == "failed"]
    if failed:
        raise ContractError(f"technique {entry.id} fails {len(failed)} check(s):\n" + "\n".join(failed))
    return results


def _result(name: str, exam: Exam, expected: str | None) -> Result:
    try:
        CHECKS[name](exam)
    except Inapplicable as skipped:
        return Result(check=name, status="skipped", reason=str(skipped))
    except ContractError as error:
        if expected is not None:
            return Result(check=name, status="expected", reason=expected)
        return Result(check=name, status="failed", reason=str(error))
    if expected is not None:
        return Result(check=name, status="failed", reason=f"passes, and was expected to fail: {expected}")
    return Result(check=name, status="passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check with what its technique is called with; ``check(technique)`` runs it.

    Attributes:
        name: of the function.
        arguments, invariances: as in ``check_technique``.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    invariances: tuple[str, ...] = ()

    def __call__(self, technique: Named) -> None:
        """Run the check.

        Raises:
            ContractError: it fails.
        """
        try:
            CHECKS[self.name](_exam(registered_technique(technique).id, self.arguments, self.invariances))
        except Inapplicable as reason:
            pytest.skip(str(reason))


@lru_cache(maxsize=2)
def _exam(technique: str, arguments: tuple[tuple[str, Any], ...], invariances: tuple[str, ...]) -> Exam:
    """Return an exam; kept for the next check of the same technique, so that they share calls."""
    return Exam(CATALOGUE.techniques[technique], dict(arguments), invariances)


def parametrize_with_checks(
    techniques: Iterable[Named],
    *,
    expected_failures: Mapping[Any, Mapping[str, str]] | None = None,
    arguments: Mapping[Any, Mapping[str, Any]] | None = None,
    invariances: Mapping[Any, tuple[str, ...]] | None = None,
) -> pytest.MarkDecorator:
    """Parametrize a test ``(technique, check)`` with every check of every technique.

    Args:
        techniques: decorated functions, or names.
        expected_failures: technique -> name of a check -> why it fails; these items are strict expected
            failures, so that one that passes is told.
        arguments: technique -> keyword arguments in place of its defaults.
        invariances: technique -> what changes nothing, by its author's word: ``residual_rotation``.

    Returns:
        The decorator; the body of the test is ``check(technique)``.

    Raises:
        InterpBenchError: there is no such technique or check.
    """
    expected, given, claims = (_by_id(one) for one in (expected_failures, arguments, invariances))
    for reasons in expected.values():
        _known_checks(reasons)
    entries = [registered_technique(technique) for technique in techniques]
    return pytest.mark.parametrize(
        ("technique", "check"),
        [
            item
            for entry in entries
            for item in _items(
                entry, expected.get(entry.id, {}), given.get(entry.id, {}), claims.get(entry.id, ())
            )
        ],
    )


def _items(
    entry: Technique, expected: Mapping[str, str], arguments: Mapping[str, Any], claims: tuple[str, ...]
) -> Iterator[Any]:
    for name in CHECKS:
        check = Check(name=name, arguments=tuple(arguments.items()), invariances=claims)
        reason = expected.get(name)
        marks = (
            [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True, raises=ContractError)]
        )
        yield pytest.param(entry, check, id=f"{entry.id}-{name.removeprefix('check_')}", marks=marks)


def registered_technique(technique: Named) -> Technique:
    """Return the registered technique of a decorated function or a name.

    Raises:
        InterpBenchError: it is not registered, or the name is that of several.
    """
    if isinstance(technique, Technique):
        return technique
    if isinstance(technique, str):
        load_installed()
        found = CATALOGUE.technique(technique)
    else:
        found = tuple(t for t in CATALOGUE.techniques.values() if t.function is technique)
    if len(found) != 1:
        name = technique if isinstance(technique, str) else getattr(technique, "__name__", technique)
        why = "decorate it with @technique(...)" if not found else "name one as track/name"
        raise InterpBenchError(f"{name!r} is {len(found)} techniques; {why}")
    return found[0]


def _by_id(mapping: Mapping[Any, Any] | None) -> dict[str, Any]:
    return {registered_technique(key).id: value for key, value in (mapping or {}).items()}


def _known_checks(names: Iterable[str]) -> None:
    for name in names:
        if name not in CHECKS:
            raise InterpBenchError(f"no check is called {name!r}{near_name(name, CHECKS)}")
