"""Every trial is found by its node id, whatever its technique, task and model are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench.errors import InterpBenchError
from interp_bench.harness.gates import Gates
from interp_bench.harness.grid import Grid
from interp_bench.plugin import plan as planning
from interp_bench.plugin.plan import Plan
from interp_bench.tracks.catalogue import CATALOGUE
from tests.fuzz.strategies import damaged, words
from tests.fuzz.test_options import options_of

names = st.one_of(
    st.sampled_from(
        ("a", "b", "a-b", "b-a", "a-0", "a-b-0", "a]", "[a", "a::b", "::", "]", "@a", "a@b-0]", "a[b-c-0]")
    ),
    st.text("ab-0[]:@/.", min_size=1, max_size=6),
    words.filter(bool),
)
files = st.sampled_from(
    ("tasks/bench_a.py", "tasks/x/bench_a.py", "x/tasks/bench_a.py", "x::y/bench_a.py", "bench_a.py")
)
grids = st.fixed_dictionaries(
    {
        "techniques": st.lists(names, min_size=1, max_size=3, unique=True),
        "tasks": st.lists(st.tuples(names, files), min_size=1, max_size=3, unique_by=lambda task: task[0]),
        "models": st.lists(names, min_size=1, max_size=3, unique=True),
        "seeds": st.lists(st.integers(0, 12), min_size=1, max_size=2, unique=True),
        "large": st.booleans(),
    }
)


def plan_of(fakes: ModuleType, drawn: dict[str, Any]) -> Plan:
    """Return the plan of a run over the pretended entries under other names."""
    technique, task = CATALOGUE.techniques["guessing/half"], CATALOGUE.tasks["guessing/numbers"]
    floor = CATALOGUE.techniques["guessing/random"]
    grid = Grid(
        techniques=[replace(technique, name=name) for name in drawn["techniques"]],
        tasks=[replace(task, name=name, origin=Path("/project", file)) for name, file in drawn["tasks"]],
        specs=[fakes.FakeSpec(id=name, memory_gb=8.0 if drawn["large"] else 0.5) for name in drawn["models"]],
        seeds=drawn["seeds"],
        floors={"guessing": floor},
        controls=("unplanted",),
    )
    return Plan(
        options=options_of([], Path("/project")),
        run="r",
        grid=grid,
        gates=Gates(),
        store=Path("/s"),
        stored=frozenset(),
    )


def drawn(**changes: Any) -> dict[str, Any]:
    return {
        "techniques": ["a"], "tasks": [("t", "tasks/bench_a.py")], "models": ["m"], "seeds": [0],
        "large": False,
        **changes,
    }  # fmt: skip


@example(drawn(tasks=[("t", "x::y/bench_a.py")]))
@example(drawn(tasks=[("t", "bench_a.py"), ("a::t", "tasks/bench_a.py")]))
@example(drawn(techniques=["x", "x-m-0]"]))
@example(drawn(models=["m", "m]", "m-0]"], large=True))
@example(drawn(techniques=["a", "a-b"], models=["b-c", "c"]))
@example(drawn(models=["m", "m-0"], seeds=[0, 1]))
@given(grids)
def test_find_returns_the_cell_of_its_item(fakes: ModuleType, drawn: dict[str, Any]) -> None:
    plan = plan_of(fakes, drawn)
    try:
        cells = plan.cells
        planning.refuse_twins(cells)
    except InterpBenchError as error:
        event("refused")
        words = str(error)
        assert "are called" in words or "ceiling" in words
        return
    event("told apart")
    for cell in cells:
        node_id = f"{cell.task.origin.relative_to('/project')}::{cell.name}"
        assert plan.find(node_id) is cell
        if not set("]:") & set("".join(drawn["models"])):
            # The group that xdist appends is a model's id, which has no such signs.
            assert plan.find(f"{node_id}@{cell.group}") is cell


GRID = drawn(
    techniques=["a", "b"], tasks=[("t", "tasks/bench_a.py"), ("u", "tasks/x/bench_a.py")], models=["m", "n"]
)


@given(
    damaged(
        st.sampled_from(("tasks/bench_a.py::t[a-m-0]", "tasks/x/bench_a.py::u[ceiling-n-0]")).map(str.encode),
        (b"::", b"]", b"[", b"\x00", b"..", b"/", b"-unplanted"),
    ).map(lambda node_id: node_id.decode("utf-8", "surrogateescape"))
)
def test_any_node_id_has_one_cell_or_none(fakes: ModuleType, node_id: str) -> None:
    cell = plan_of(fakes, GRID).find(node_id)
    event("found" if cell else "none")
    assert cell is None or cell.name in node_id


@pytest.fixture
def registered(fakes: ModuleType) -> Callable[[str], Any]:
    """Return a function that registers a technique of some name."""

    def register(name: str) -> Any:
        def function(problem: Any) -> Any:
            """Answer."""

        function.__annotations__ = {"problem": fakes.GuessProblem, "return": fakes.Guess}
        function.__name__ = name
        fakes.technique(cites="me")(function)
        return CATALOGUE.techniques.pop(f"guessing/{name}")

    return register


@given(words)
def test_only_names_that_an_id_can_hold_are_registered(registered: Callable[[str], Any], name: str) -> None:
    try:
        entry = registered(name)
    except InterpBenchError:
        assert not name.isidentifier() or name in ("half", "reader", "random")
    else:
        assert entry.name == name
        assert not set("-[]:@/ ") & set(name)
