"""One watched call of a technique: its answer, its passes through the model, and what it left behind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from interp_bench.errors import Inapplicable
from interp_bench.harness.guards import ContentState, ModuleState, borrowed_generators
from interp_bench.harness.leftovers import Leftovers
from interp_bench.harness.process_state import ProcessState
from interp_bench.model.handle import Model
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Technique


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """Passes through a model.

    Attributes:
        forwards, backwards: through its logits.
        patches: how often activations were replaced.
    """

    forwards: int = 0
    backwards: int = 0
    patches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What came of one call.

    Attributes:
        planted: the question.
        answer: what was returned; None where something was raised.
        error: what was raised.
        passes: through the model.
        content, module, process: what was left changed of the weights and the problem, of hooks and
            flags of the network, and of the process; one line each.
    """

    planted: Planted[Any, Any]
    answer: Any = None
    error: BaseException | None = None
    passes: Passes = field(default_factory=Passes)
    content: tuple[str, ...] = ()
    module: tuple[str, ...] = ()
    process: tuple[str, ...] = ()

    @property
    def inapplicable(self) -> bool:
        """Whether the technique said that it has no meaning here."""
        return isinstance(self.error, Inapplicable)


def visit(technique: Technique, planted: Planted[Any, Any], arguments: Mapping[str, Any]) -> Visit:
    """Call a technique under the guards of the harness, and put back what it left changed.

    Weights that were changed stay changed: the problem has to be planted again.
    """
    problem = replace(planted.problem)
    network = problem.model.module
    answer: Any = None
    error: BaseException | None = None
    with borrowed_generators(problem.seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content, module = ContentState(network, problem), ModuleState(network)
        process, leftovers = ProcessState(), Leftovers()
        with _counted(problem.model) as counts:
            try:
                answer = technique.function(problem, **arguments)
            except Exception as raised:
                error = raised
        leftovers.end()
        kinds = [tuple(breach.message for breach in state.breaches()) for state in (content, module, process)]
        process.repair()
        module.repair()
    return Visit(
        planted=planted,
        answer=answer,
        error=error,
        passes=Passes(**counts),
        content=kinds[0],
        module=kinds[1],
        process=kinds[2],
    )


@contextmanager
def _counted(model: Model) -> Iterator[dict[str, int]]:
    """Count passes and patches of a block; the counts are there when it ends."""
    counts = {"patches": 0}
    before = (model.meter.forwards, model.meter.backwards)
    patch = model.patch

    def counted(*given: Any, **named: Any) -> Any:
        counts["patches"] += 1
        return patch(*given, **named)

    vars(model)["patch"] = counted
    try:
        yield counts
    finally:
        vars(model).pop("patch", None)
        counts["forwards"] = model.meter.forwards - before[0]
        counts["backwards"] = model.meter.backwards - before[1]
