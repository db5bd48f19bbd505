"""How a technique is called: in this process, or (see `isolation`) in one of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from interp_bench.errors import ContractError
from interp_bench.harness.attending import Attended, attend
from interp_bench.harness.faults import fault_of
from interp_bench.harness.grid import Cell
from interp_bench.harness.isolation import answers
from interp_bench.harness.meter import CostMeter
from interp_bench.harness.problems import row_problem
from interp_bench.harness.sight import Sight

Show = Callable[[], AbstractContextManager[Sight]]
"""Shows what a row sees: the planted problem, or that of its control, while the block runs."""


class Caller(Protocol):
    """Calls the techniques of a run."""

    def prepare(self, cell: Cell) -> None:
        """Get ready for a cell, while its problem is planted."""

    def foresee(self, cell: Cell, sight: Sight) -> None:
        """Get ready for a cell whose problem has just been planted, while guesses at it are scored."""

    def call(self, cell: Cell, show: Show) -> Attended:
        """Call the technique of a cell; whatever happens in it becomes a fault."""

    def forget(self) -> None:
        """Let go of the problem at hand, which is about to change."""

    def close(self) -> None:
        """End all that was started."""


class Here:
    """Calls techniques in this process, for a debugger: nothing limits them but the guards."""

    def prepare(self, cell: Cell) -> None:
        """Do nothing: nothing has to be started."""

    def foresee(self, cell: Cell, sight: Sight) -> None:
        """Do nothing: nothing has to be started."""

    def call(self, cell: Cell, show: Show) -> Attended:
        """Call the technique of a cell under guards."""
        technique = cell.row.technique
        assert technique is not None
        with show() as sight:
            problem = row_problem(cell, sight.problem)
            attended = attend(technique.function, problem, sight, meter=(meter := CostMeter(problem.model)))
            attended.cost = meter.cost
            if attended.fault is None:
                answer_type = cell.task.track.answer_type
                try:
                    # The same way as from a worker, so that the same answers pass.
                    data = answers.encode(attended.answer, answer_type)
                    attended.answer = answers.decode(data, answer_type, problem.model.device)
                except (ContractError, MemoryError) as error:
                    attended.fault = fault_of(error, "")
        return attended

    def forget(self) -> None:
        """Do nothing: nothing is held."""

    def close(self) -> None:
        """Do nothing: nothing was started."""
