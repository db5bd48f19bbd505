"""How xdist hands out trials: to each worker one model and seed at a time, largest models first."""

from __future__ import annotations

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

    def _split_scope(self, nodeid: str) -> str:
        cell = self._plan.find(nodeid)
        return nodeid if cell is None else cell.group
