"""Whatever is given as ``--bench-...``: there is a plan, or one line says what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.config.argparsing import Parser
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench.errors import InterpBenchError, one_line
from interp_bench.harness.estimate import Timings
from interp_bench.plugin.options import Options, add_options, read_options
from interp_bench.plugin.plan import Plan, make_plan
from tests.fuzz import strategies
from tests.fuzz.strategies import SURROGATE, mixed_case, share, words

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

KNOWN: dict[str, tuple[str, ...]] = {
    "--bench-technique": (
        "half", "guessing/half", "reader", "random", "ceiling", "*", "h?lf", "[hr]*", "mine.py",
        "missing.py", "dir.py",
        "broken.py", "text", "/.py", ".py",
    ),
    "--bench-model": ("small", "large", "fake", "pictures", "huge", "far-away", "*", "im*"),
    "--bench-task": ("numbers", "guessing/numbers", "guessing", "num*"),
    "--bench-tier": ("quick", "standard", "full"),
    "--bench-seeds": ("1", "3", "0,5,7", "5,", "1000"),
    "--bench-control": ("unplanted", "rerandomised", "shuffled", "all", "none"),
    "--bench-device": ("cpu", "cpu:0", "cuda", "cuda:0", "mps"),
    "--bench-store": ("store.sqlite3", "text", "runs", "new/store"),
    "--bench-min-skill": ("half:0.5", "guessing/half:-1", "ceiling:1", "mine:0"),
    "--bench-compare": ("runs", "runs/features.jsonl", "bad.jsonl", "store.sqlite3", "text", "r", ".",
    "tasks"),
    "--bench-compare-fail": ("skill:-5%", "skill:-0.05", "mean:-2%"),
    "--bench-isolate": ("none", "nothing"),  # what starts processes has tests of its own
    "--bench-timeout": ("5", "0.5", "0", "soon"),
    "--bench-memory": ("4", "1e9", "-1"),
    "--bench-seed-secret": ("env:PATH", "env:", "text", "missing"),
}  # fmt: skip
FLAGS = ("--bench-fresh", "--bench-explain")


def option(name: str) -> st.SearchStrategy[list[str]]:
    """Return strategies for one option with its value, which is often one that means something."""
    known = st.sampled_from(KNOWN[name])
    value = st.one_of(known, known, known, mixed_case(KNOWN[name]), st.sampled_from(("--", "-", "")))
    return value.flatmap(lambda text: st.sampled_from(([f"{name}={text}"], [name, text])))


arguments = st.one_of(
    st.lists(st.one_of(*map(option, KNOWN), st.sampled_from(FLAGS).map(lambda flag: [flag])), max_size=5).map(
        lambda parts: [word for part in parts for word in part]
    ),
    st.lists(mixed_case((*KNOWN, *FLAGS, "--bench", "--bench-")), max_size=3),
)


class Config(SimpleNamespace):
    """As much of pytest's configuration as options are read from."""

    option: argparse.Namespace

    def getoption(self, name: str) -> Any:
        return getattr(self.option, name)


def parser() -> Parser:
    made = Parser(_ispytest=True)
    add_options(made)  # type: ignore[arg-type]
    return made


PARSER = parser()


def config_of(given: list[str], place: Path) -> Config:
    """Return the configuration of `pytest --bench` with these words behind it, started in a folder."""
    read = PARSER.parse(
        ["--bench", "--bench-isolate=none", *given], namespace=argparse.Namespace(rootdir=None)
    )
    return Config(option=read, rootpath=place, inipath=None, invocation_params=SimpleNamespace(dir=place))


def options_of(given: list[str], place: Path) -> Options:
    """Return what is read from these words."""
    return read_options(config_of(given, place))  # type: ignore[arg-type]


def planned(given: list[str], place: Path, fakes: ModuleType) -> Plan:
    """Go the way of `pytest --bench` from the words of the command line to the plan of the run."""
    places = [place / name for name in config_of(given, place).option.file_or_dir or ["tasks"]]
    return make_plan(options_of(given, place), fakes.MODELS, places, stored=frozenset())


def check(make: Callable[[], Plan]) -> None:
    try:
        plan = make()
    except InterpBenchError as error:
        refused = str(error)
    except pytest.UsageError as error:
        refused = str(error)
        if "usage:" in refused:
            event("refused by pytest")
            return
    else:
        event("planned" if plan.cells else "explained")
        assert plan.announcement(plan.cells, Timings(()), 1)
        plan.gates.gone(plan.cells, narrowed=plan.options.narrowed)
        plan.grid.explain()
        return
    event("refused")
    assert refused
    assert strategies.one_line(one_line(refused))
    assert "Traceback" not in refused


@example(["--bench-device", "cuda:²"])
@example(["--bench-device", "cuda:" + "9" * 5000])
@example(["--bench-device", "cpu:"])
@example(["--bench-seeds", "\x1c3"])
@example(["--bench-technique"])
@example(["--bench-technique=--"])
@example(["--bench-tier=--"])
@example(["--bench-compare", "a" * 300])
@example(["--bench-technique", "a" * 300 + ".py"])
@example(["--bench-technique", "[z-a]"])
@example(["--bench-model", SURROGATE])
@example(["--bench-store", "\x00"])
@example(["--bench-compare", "\x00", "--bench-compare-fail", "skill:-5%"])
@example(["a" * 300])
@example(["\x00"])
@given(arguments)
def test_options_are_planned_or_refused_in_one_line(fakes: ModuleType, place: Path, given: list[str]) -> None:
    check(lambda: planned(given, place, fakes))


stores = st.one_of(st.sampled_from(KNOWN["--bench-store"]), words, words.map("new/{}".format))


@example("a" * 300)
@example("text/below")
@example("runs")
@share(10)
@given(
    stores.filter(lambda name: name and "\x00" not in name and not name.startswith("/") and ".." not in name)
)
def test_any_place_for_a_store_is_one_or_is_refused(place: Path, name: str) -> None:
    from interp_bench.harness.store import Store

    try:
        Store.open(place / name).close()
    except InterpBenchError as error:
        refused = str(error)
    else:
        assert (place / name).is_file()
        return
    assert strategies.one_line(one_line(refused))


RUNS = st.one_of(
    st.lists(st.one_of(*map(option, sorted(KNOWN.keys() - {"--bench-store"}))), max_size=3).map(
        lambda parts: [word for part in parts for word in part]
    ),
    st.sampled_from(
        (
            "tasks/guessing/bench_numbers.py::numbers[half-small-0]",
            "tasks/guessing/bench_numbers.py::numbers",
            "tasks",
        )
    ).flatmap(
        lambda whole: st.one_of(
            st.just([whole]),
            st.builds(strategies.edited, st.just(whole), st.integers(0, 50), words).map(lambda w: [w]),
        )
    ),
)


@example(["tasks/guessing/bench_numbers.py::numbers[half-small-9]"])
@example(["tasks/guessing/bench_numbers.py::numbers[half-small-0]@small-0"])
@example(["tasks/guessing/bench_numbers.py::nothing::more"])
@example(["a" * 300])
@share(25)
@given(RUNS)
def test_whole_runs_of_pytest_end_without_a_traceback(project: Project, given: list[str]) -> None:
    from tests.fuzz.conftest import fill

    fill(project.path)
    result = project.bench(
        "--collect-only", "-q", "--rootdir=.", *(word for word in given if "\x00" not in word)
    )
    lines = [*result.outlines, *result.errlines]
    event(f"exit code {int(result.ret)}")
    assert result.ret in (0, 4, 5), lines
    assert not any("Traceback" in line or "INTERNALERROR" in line for line in lines), lines
    errors = [line for line in lines if line.startswith("ERROR: ")]
    assert len(errors) == (result.ret == 4), lines
