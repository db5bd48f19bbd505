"""Who runs what on a cluster: groups in flight, trials that came back, and what becomes of lost ones."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from interp_bench.errors import InterpBenchError
from interp_bench.harness.grid import Cell
from interp_bench.harness.resources import Resources, missing_room, resources_of
from interp_bench.harness.trial import Status
from interp_bench.plugin.arrival import Arrival, Assignment, Began, Post

FALSE_STARTS = 2
"""How many workers may die in a row before their first cell, until a group is given up."""

CHECK_SECONDS = 10.0
"""How often to see whether a machine that waiting groups need is still part of the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A worker is done with its assignment, or has died.

    Attributes:
        ticket: of the assignment.
        refused: why it could not follow the plan, or an empty string.
        death: why it did not come to the end, or an empty string.
    """

    ticket: Hashable
    refused: str = ""
    death: str = ""


class Cluster(Protocol):
    """What is asked of a cluster."""

    def machines(self) -> list[Resources]:
        """Return what each machine offers in all."""
        ...

    def submit(self, assignment: Assignment, needed: Resources) -> Hashable:
        """Queue an assignment, and return its ticket."""
        ...

    def poll(self) -> tuple[Sequence[Post], Sequence[Ended]]:
        """Wait a moment; return what arrived, and who has ended, all of whose posts have arrived."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A cell that has no trial from a worker.

    Attributes:
        cell: which.
        status, reason: what to record for it.
    """

    cell: Cell
    status: Status
    reason: str


@dataclass(slots=True, kw_only=True)
class _Flight:
    """A group on its way.

    Attributes:
        left: cells that have not come back, in order.
        needed: what its worker needs.
        begun: key of the cell at hand, or an empty string.
        came: whether a cell of this flight has come back.
        false_starts: workers that died before a cell of it.
    """

    left: list[Cell]
    needed: Resources
    begun: str = ""
    came: bool = False
    false_starts: int = 0


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """Hands groups of cells to a cluster, and returns each cell once.

    Attributes:
        cluster: where they run.
        base: an assignment without cells.
    """

    cluster: Cluster
    base: Assignment
    _flights: dict[Hashable, _Flight] = field(default_factory=dict)
    _homes: dict[str, Hashable] = field(default_factory=dict)

    def results(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Arrival] | Lost]:
        """Run cells, and yield what comes back in the order in which it does.

        Args:
            cells: in running order; a group keeps the order of its cells.

        Raises:
            InterpBenchError: a worker cannot follow the plan.
        """
        groups: dict[str, list[Cell]] = {}
        for cell in cells:
            groups.setdefault(cell.group, []).append(cell)
        for group in groups.values():
            needed = resources_of(group, threads=self.base.handed.threads)
            yield from self._send(_Flight(left=group, needed=needed))
        checked = time.monotonic()
        while self._flights:
            posts, ended = self.cluster.poll()
            for post in posts:
                yield from self._receive(post)
            for end in ended:
                yield from self._end(end)
            if time.monotonic() - checked > CHECK_SECONDS:
                checked = time.monotonic()
                yield from self._strand()

    def _send(self, flight: _Flight) -> Iterator[Lost]:
        reason = missing_room(flight.needed, self.cluster.machines())
        if reason:
            yield from (Lost(cell=cell, status="skipped", reason=reason) for cell in flight.left)
            return
        assignment = replace(self.base, keys=tuple(cell.key for cell in flight.left))
        ticket = self.cluster.submit(assignment, flight.needed)
        self._flights[ticket] = flight
        self._homes.update(dict.fromkeys(assignment.keys, ticket))

    def _receive(self, post: Post) -> Iterator[tuple[Cell, Arrival]]:
        flight = self._flights.get(self._homes.get(post.key))
        cell = next((cell for cell in flight.left if cell.key == post.key), None) if flight else None
        if flight is None or cell is None:
            return
        if isinstance(post, Began):
            flight.begun = post.key
        else:
            flight.left.remove(cell)
            flight.begun, flight.came = post.then, True
            yield cell, post

    def _end(self, end: Ended) -> Iterator[Lost]:
        flight = self._flights.pop(end.ticket, None)
        if end.refused:
            raise InterpBenchError(f"a Ray worker cannot follow the plan: {end.refused}")
        if flight is None or not flight.left:
            return
        death = end.death or "it ended early"
        lost = [cell for cell in flight.left if cell.key == flight.begun]
        reason = f"the Ray worker that ran it died: {death}"
        starts = 0 if lost or flight.came else flight.false_starts + 1
        if starts >= FALSE_STARTS:
            lost, reason = list(flight.left), f"{starts} Ray workers died before they began with it: {death}"
        yield from (Lost(cell=cell, status="crashed", reason=reason) for cell in lost)
        rest = [cell for cell in flight.left if cell not in lost]
        if rest:
            yield from self._send(_Flight(left=rest, needed=flight.needed, false_starts=starts))

    def _strand(self) -> Iterator[Lost]:
        """Give up groups that no machine can hold any more; those at work notice by themselves."""
        machines = self.cluster.machines()
        for ticket, flight in list(self._flights.items()):
            reason = "" if flight.begun else missing_room(flight.needed, machines)
            if reason:
                del self._flights[ticket]
                yield from (Lost(cell=cell, status="skipped", reason=reason) for cell in flight.left)
