"""What a row sees of a problem, with the state that it has to leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interp_bench.harness.guards import ContentState, ModuleState

if TYPE_CHECKING:
    from interp_bench.tracks.base import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What rows see, and must leave as it is.

    Attributes:
        problem: the planted problem, or that of a control.
        content, module_state: its tensors and weights, hooks and flags as they were.
    """

    problem: Problem
    content: ContentState
    module_state: ModuleState

    @classmethod
    def of(cls, problem: Problem) -> Sight:
        """Return the sight of a problem on its model as it is now."""
        module = problem.model.module
        return cls(problem=problem, content=ContentState(module, problem), module_state=ModuleState(module))
