"""One call of a technique under guards: what it answered, what it left behind, and what it cost."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interp_bench.errors import ContractError
from interp_bench.harness.breach import Breach
from interp_bench.harness.faults import Fault, fault_of
from interp_bench.harness.guards import borrowed_generators
from interp_bench.harness.leftovers import Leftovers
from interp_bench.harness.meter import Cost
from interp_bench.harness.process_state import ProcessState
from interp_bench.harness.sight import Sight

if TYPE_CHECKING:
    from interp_bench.tracks.base import Problem

_RETURNED = 1
"""Exit status of a forked process that came back from the call."""


@dataclass(slots=True, kw_only=True)
class Attended:
    """What came of one call.

    Attributes:
        answer: what was returned; None where there is a fault.
        fault: what went wrong, a broken contract included.
        cost: of the call alone.
        warnings: how many of each category.
        spoilt: whether the problem must be planted again.
    """

    answer: object = None
    fault: Fault | None = None
    cost: Cost = field(default_factory=Cost)
    warnings: Counter[str] = field(default_factory=Counter)
    spoilt: bool = False


def attend(
    call: Callable[[Problem], object],
    problem: Problem,
    sight: Sight,
    *,
    meter: AbstractContextManager[object],
    where: str = "",
) -> Attended:
    """Call a technique, and put back what it left changed.

    Args:
        call: the technique.
        problem: the problem as its row sees it.
        sight: the state that it has to leave.
        meter: is entered around the call alone.
        where: who is called, put before the reason of a fault.
    """
    attended = Attended()
    with borrowed_generators(problem.seed), counted_warnings(attended.warnings):
        process, leftovers = ProcessState(), Leftovers()
        try:
            with meter:
                attended.answer = _only_here(call, problem)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a technique may derive its own from it
            attended.fault = fault_of(error, where)
        leftovers.end()
        breaches = [*process.breaches(), *sight.module_state.breaches(), *sight.content.breaches()]
        process.repair()
        sight.module_state.repair()
    attended.spoilt = any(breach.spoilt for breach in breaches)
    if breaches and (attended.fault is None or attended.fault.status == "skipped"):
        attended.fault = breached(breaches, where)
    if attended.fault is not None:
        attended.answer = None
    return attended


def _only_here(call: Callable[[Problem], object], problem: Problem) -> object:
    """Call a technique; a process that it forks and lets return ends, for it would do all the rest too."""
    process = os.getpid()
    try:
        return call(problem)
    finally:
        if os.getpid() != process:
            os._exit(_RETURNED)


def breached(breaches: list[Breach], where: str = "") -> Fault:
    """Return the fault that broken parts of the contract are."""
    return fault_of(ContractError("; ".join(breach.message for breach in breaches)), where)


@contextmanager
def counted_warnings(counter: Counter[str]) -> Iterator[None]:
    """Catch every warning of a block, and count them by category."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    counter.update(warning.category.__name__ for warning in caught)
