"""Groups on a cluster: each cell comes back once, whatever workers and machines do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from pathlib import Path
from types import ModuleType

import pytest

from interp_bench.errors import InterpBenchError
from interp_bench.harness.grid import Cell
from interp_bench.harness.resources import GIB, Resources
from interp_bench.plugin import dispatch
from interp_bench.plugin.arrival import Arrival, Assignment, Began, Handed, Post
from interp_bench.plugin.dispatch import Dispatch, Ended, Lost

BASE = Assignment(
    handed=Handed(run="r", stored=(), threads=1), arguments=(), folder=Path(), environment={}, keys=()
)
ROOM = Resources(cpus=2, gpus=0, memory=8 * GIB)
Script = Callable[[int, tuple[str, ...]], tuple[list[Post], Ended]]


def ok(ticket: int, keys: tuple[str, ...]) -> tuple[list[Post], Ended]:
    """A worker that does all that it is given."""
    backs = [_back(key, then) for key, then in zip(keys, [*keys[1:], ""], strict=True)]
    return [Began(key=keys[0]), *backs], Ended(ticket=ticket)


def _back(key: str, then: str = "") -> Arrival:
    return Arrival(key=key, trial="{}", seconds=1.0, then=then)


class Pretended:
    """A cluster whose workers follow a script, one after the other.

    Attributes:
        sent: what was submitted.
    """

    def __init__(self, script: Script = ok, machines: tuple[Resources, ...] = (ROOM,)) -> None:
        self.sent: list[tuple[str, ...]] = []
        self.needed: list[Resources] = []
        self.offers = list(machines)
        self._script = script
        self._queue: deque[int] = deque()

    def machines(self) -> list[Resources]:
        return self.offers

    def submit(self, assignment: Assignment, needed: Resources) -> Hashable:
        self.sent.append(assignment.keys)
        self.needed.append(needed)
        self._queue.append(len(self.sent) - 1)
        return len(self.sent) - 1

    def poll(self) -> tuple[list[Post], list[Ended]]:
        ticket = self._queue.popleft()
        posts, end = self._script(ticket, self.sent[ticket])
        return posts, [end]


@pytest.fixture
def cells(fakes: ModuleType) -> tuple[Cell, ...]:
    """Two groups of four: ceiling, random, half and reader for each of two seeds."""
    return fakes.grid("half", "reader", seeds=(0, 1)).cells


def run(cluster: Pretended, cells: tuple[Cell, ...]) -> tuple[list[str], list[Lost]]:
    """Return the names of the cells that came back, and those that were lost."""
    results = list(Dispatch(cluster=cluster, base=BASE).results(cells))
    back = [result[0].name for result in results if isinstance(result, tuple)]
    lost = [result for result in results if isinstance(result, Lost)]
    assert sorted([*back, *(one.cell.name for one in lost)]) == sorted(cell.name for cell in cells)
    return back, lost


def test_one_assignment_a_group_in_running_order(cells: tuple[Cell, ...]) -> None:
    cluster = Pretended()
    back, lost = run(cluster, cells)
    assert back == [cell.name for cell in cells]
    assert lost == []
    assert cluster.sent == [tuple(cell.key for cell in cells[:4]), tuple(cell.key for cell in cells[4:])]
    assert cluster.needed == [Resources(cpus=1, gpus=0, memory=1.25 * GIB)] * 2


def test_a_death_takes_the_cell_at_hand_and_spares_its_neighbours(cells: tuple[Cell, ...]) -> None:
    def script(ticket: int, keys: tuple[str, ...]) -> tuple[list[Post], Ended]:
        if ticket:
            return ok(ticket, keys)
        posts: list[Post] = [Began(key=keys[0]), _back(keys[0], then=keys[1])]
        return posts, Ended(ticket=ticket, death="out of memory")

    cluster = Pretended(script)
    _, lost = run(cluster, cells)
    reason = "the Ray worker that ran it died: out of memory"
    assert lost == [Lost(cell=cells[1], status="crashed", reason=reason)]
    assert cluster.sent[2] == tuple(cell.key for cell in cells[2:4])


def test_a_group_on_which_no_worker_starts_is_given_up(cells: tuple[Cell, ...]) -> None:
    def script(ticket: int, keys: tuple[str, ...]) -> tuple[list[Post], Ended]:
        return ok(ticket, keys) if cells[4].key in keys else ([], Ended(ticket=ticket, death="no disk"))

    cluster = Pretended(script)
    _, lost = run(cluster, cells)
    assert [one.cell for one in lost] == list(cells[:4])
    assert {(one.status, one.reason) for one in lost} == {
        ("crashed", "2 Ray workers died before they began with it: no disk")
    }
    assert len(cluster.sent) == 3


def test_a_death_between_two_cells_costs_none(cells: tuple[Cell, ...]) -> None:
    def script(ticket: int, keys: tuple[str, ...]) -> tuple[list[Post], Ended]:
        return [Began(key=keys[0]), _back(keys[0])], Ended(ticket=ticket, death="machine left")

    cluster = Pretended(script)
    assert run(cluster, cells)[1] == []
    assert len(cluster.sent) == 8


def test_what_fits_on_no_machine_is_skipped_with_the_reason(cells: tuple[Cell, ...]) -> None:
    cluster = Pretended(machines=(Resources(cpus=64, gpus=0, memory=GIB),))
    _, lost = run(cluster, cells)
    assert len(lost) == 8
    assert {one.status for one in lost} == {"skipped"}
    assert lost[0].reason == (
        "no machine of the Ray cluster can hold it: it needs 1 CPU, 0 GPUs and 1.2 GiB of memory, and the "
        "largest offers 64 CPUs, 0 GPUs and 1.0 GiB of memory"
    )
    assert cluster.sent == []


def test_groups_whose_machine_has_left_are_not_waited_for(
    cells: tuple[Cell, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(ticket: int, keys: tuple[str, ...]) -> tuple[list[Post], Ended]:
        cluster.offers.clear()
        return ok(ticket, keys)

    monkeypatch.setattr(dispatch, "CHECK_SECONDS", -1.0)
    cluster = Pretended(script)
    back, lost = run(cluster, cells)
    assert back == [cell.name for cell in cells[:4]]
    assert {one.reason.partition(", and ")[2] for one in lost} == {"there is none"}


def test_a_worker_with_other_code_ends_the_run(cells: tuple[Cell, ...]) -> None:
    cluster = Pretended(lambda ticket, keys: ([], Ended(ticket=ticket, refused="other code")))
    with pytest.raises(InterpBenchError, match=r"^a Ray worker cannot follow the plan: other code$"):
        run(cluster, cells)


def test_what_comes_late_or_twice_is_not_counted(cells: tuple[Cell, ...]) -> None:
    def script(ticket: int, keys: tuple[str, ...]) -> tuple[list[Post], Ended]:
        posts, end = ok(ticket, keys)
        return [*posts, _back(keys[0]), Began(key="of another run"), _back(cells[0].key)], end

    assert len(run(Pretended(script), cells)[0]) == 8
