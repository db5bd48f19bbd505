"""How xdist hands out trials: to each worker one model and seed at a time, largest models first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

    from interp_bench.plugin.plan import Plan


class ModelScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Load balancing in units of ``Cell.group``.

    xdist's own ``loadgroup`` writes the group behind the node id, which pytest 9.2 ignores, so
    that each trial would be a group of its own and every worker would plant every problem.

    Args:
        config: the controller's configuration.
        log: xdist's log.
        plan: finds the cell of a node id.
    """

    def __init__(self, config: pytest.Config, log: Any, plan: Plan) -> None:
        super().__init__(config, log)
        self._plan = plan
        self._died_with: set[str] = set()

    def remove_node(self, node: Any) -> str | None:
        """Take a worker out; what it was running is not handed to the next one.

        xdist would, so that a technique that ends its process would end all workers, one after another.
        """
        running = (
            name for unit in self.assigned_work[node].values() for name, done in unit.items() if not done
        )
        self._died_with.update(islice(running, 1))
        crashed: str | None = super().remove_node(node)
        return crashed

    def _reschedule(self, node: Any) -> None:
        for scope, unit in list(self.workqueue.items()):
            unit.update(dict.fromkeys(self._died_with & unit.keys(), True))
            if all(unit.values()):
                del self.workqueue[scope]
        super()._reschedule(node)
        # A worker begins an item once it knows the next one, or that there is none.
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)

    def _split_scope(self, nodeid: str) -> str:
        cell = self._plan.find(nodeid)
        return nodeid if cell is None else cell.group
