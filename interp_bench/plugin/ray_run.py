"""A run on a Ray cluster: pytest's items are reported in the order in which their trials come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from interp_bench.errors import InterpBenchError
from interp_bench.harness.runner import Outcome
from interp_bench.harness.trial import Trial
from interp_bench.plugin.arrival import Arrival, Assignment, Handed
from interp_bench.plugin.dispatch import Dispatch
from interp_bench.plugin.group_run import deciding_variables
from interp_bench.plugin.items import BenchItem, Elsewhere

if TYPE_CHECKING:
    from interp_bench.harness.grid import Cell
    from interp_bench.plugin.executor import RayChoice
    from interp_bench.plugin.ray_cluster import RayCluster
    from interp_bench.plugin.session import BenchSession


class RayRun:
    """The hooks that let a cluster run what has to be computed, and the executor that items ask.

    An item is run when its trial has come back, so that it is stored and shown at once, whichever
    group is done first. What the store holds already needs no worker.

    Args:
        bench: the session.
        choice: the cluster that was asked for.
        threads: intra-op threads of each worker.
    """

    def __init__(self, bench: BenchSession, choice: RayChoice, threads: int) -> None:
        self._bench = bench
        self._choice = choice
        self._threads = threads
        self._cluster: RayCluster | None = None
        self._on_one_machine = 1
        self._outcomes: dict[str, Outcome] = {}

    def run(self, cell: Cell) -> Outcome:
        """Return the outcome that came back."""
        return self._outcomes.pop(cell.key)

    def close(self) -> None:
        """Let go of the cluster."""
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Connect, where there is something to compute, before it is said how long that will take."""
        option = session.config.option
        if option.collectonly or self._bench.plan.options.explain or not self._fresh(session):
            return
        from interp_bench.plugin.ray_cluster import RayCluster

        try:
            self._cluster = RayCluster(
                address=self._choice.address,
                cpus=self._choice.local_workers * self._threads,
                threads=self._threads,
            )
            slots = [int(machine.cpus // self._threads) for machine in self._cluster.machines()]
        except InterpBenchError as error:
            raise pytest.UsageError(f"--bench-executor: {error}") from error
        groups = {item.cell.group for item in self._fresh(session)}
        self._bench.workers = max(1, min(sum(slots), len(groups)))
        self._on_one_machine = max(1, *slots)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the items: those that need no worker, then each when its trial comes back.

        Raises:
            pytest.UsageError: a worker cannot follow the plan, or the cluster is gone.
        """
        if self._cluster is None or session.testsfailed:
            return None
        fresh = {item.cell.key: item for item in self._fresh(session)}
        try:
            for item in session.items:
                if not isinstance(item, BenchItem) or item.cell.key not in fresh:
                    _report(session, item)
            for item in self._returning(session.config, self._cluster, fresh):
                _report(session, item)
        except InterpBenchError as error:
            raise pytest.UsageError(f"--bench-executor: {error}") from error
        finally:
            self.close()
        return True

    def _fresh(self, session: pytest.Session) -> list[BenchItem]:
        items = {item.cell.key: item for item in session.items if isinstance(item, BenchItem)}
        return [items[cell.key] for cell in self._bench.plan.to_run(item.cell for item in items.values())]

    def _returning(
        self, config: pytest.Config, cluster: RayCluster, fresh: dict[str, BenchItem]
    ) -> Iterator[BenchItem]:
        dispatch = Dispatch(cluster=cluster, base=self._base(config))
        cells = [item.cell for item in fresh.values()]
        for result in dispatch.results(cells):
            if isinstance(result, tuple):
                item = fresh[result[0].key]
                self._outcomes[item.cell.key] = _arrived(item, result[1])
            else:
                item = fresh[result.cell.key]
                trial = self._bench.record(result.cell, result.status, result.reason)
                self._outcomes[item.cell.key] = Outcome(trial=trial)
            yield item

    def _base(self, config: pytest.Config) -> Assignment:
        return Assignment(
            handed=Handed(
                run=self._bench.plan.run, stored=(), threads=self._threads, workers=self._on_one_machine
            ),
            arguments=tuple(str(argument) for argument in config.invocation_params.args),
            folder=config.invocation_params.dir,
            environment=deciding_variables(),
            keys=(),
        )


def _arrived(item: BenchItem, arrival: Arrival) -> Outcome:
    item.seconds = arrival.seconds
    for name, text in zip(("stdout", "stderr"), arrival.output, strict=True):
        if text:
            item.add_report_section("call", name, text)
    error: Any = None if arrival.shown is None else Elsewhere(arrival.shown)
    return Outcome(trial=Trial.model_validate_json(arrival.trial), error=error, trace=arrival.trace)


def _report(session: pytest.Session, item: pytest.Item) -> None:
    """Run one item as pytest's own loop does.

    Raises:
        pytest.Session.Failed: enough items have failed.
        pytest.Session.Interrupted: a plugin wants to stop.
    """
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
