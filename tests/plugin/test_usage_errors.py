"""Whatever the user got wrong is one clear line with exit code 4, and nothing stored is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interp_bench.errors import RegistryError
from interp_bench.harness import models

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

IMPORTS = """
from interp_bench_fakes import Guess, GuessProblem, GuessTruth
from interp_bench.model.handle import Model
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import task, technique
"""

DECORATED = IMPORTS + "@technique(cites='me')\n"


def _refused(result: pytest.RunResult, *words: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR == 4
    lines = [line for line in [*result.outlines, *result.errlines] if line.strip()]
    (error,) = [line for line in lines if line.startswith("ERROR: ")]
    for word in words:
        assert word in error
    assert not any("Traceback" in line for line in lines)
    assert len(lines) == 1, lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bench-technique", "raeder"], ["no technique is called 'raeder'", "did you mean 'reader'"]),
        (["--bench-technique", "missing.py"], ["missing.py", "there is no such file"]),
        (["--bench-model", "smal"], ["no model or ladder is called 'smal'", "did you mean 'small'"]),
        (["--bench-model", "hug*"], ["beyond the quick tier", "--bench-tier full"]),
        (["--bench-task", "number"], ["no task is called 'number'", "did you mean 'numbers'"]),
        (["--bench-tier", "quik"], ["--bench-tier is 'quik'", "did you mean 'quick'"]),
        (["--bench-seeds", "many"], ["--bench-seeds is 'many'", "0,5,7"]),
        (["--bench-device", "gpu"], ["--bench-device is 'gpu'", "cpu, cuda, mps"]),
        (["--bench-device", "cuda:99"], ["--bench-device is 'cuda:99'", "no such device"]),
        (["--bench-control", "unplantd"], ["no control is called 'unplantd'", "did you mean 'unplanted'"]),
        (["--bench-control", "none", "--bench-control", "all"], ["none takes no other control"]),
        (["--bench-min-skill", "half"], ["--bench-min-skill is 'half'", "pca:0.5"]),
        (["--bench-min-skill", "halv:0.5"], ["no technique is called 'halv'", "did you mean 'half'"]),
        (["--bench-compare-fail", "skill:-5%"], ["needs --bench-compare"]),
        (["--bench-compare", "run", "--bench-compare-fail", "skill:-5%"], ["no run, file or folder 'run'"]),
        (
            ["--bench-compare", "tasks", "--bench-compare-fail", "speed:3"],
            ["--bench-compare-fail is 'speed:3'"],
        ),
        (["--bench-compare", "tasks"], ["holds no *.jsonl"]),
        (["--bench-model", "huge"], ["nothing to run", "meant for at most 1,000,000 parameters"]),
        (["tests"], ["nothing to run", "there are no tasks here"]),
    ],
)
def test_options(project: Project, arguments: list[str], words: list[str]) -> None:
    project.write("tests/test_ordinary.py", "def test_ordinary(): assert False")
    _refused(project.bench(*arguments), *words)


PLUGINS = {
    "no such import": ("import nothing_like_this", ["(line 1)", "ModuleNotFoundError"]),
    "syntax": ("def broken(:", ["(line 1)", "SyntaxError"]),
    "crash": ("1 / 0", ["(line 1)", "ZeroDivisionError"]),
    "exit": ("import sys; sys.exit(1)", ["SystemExit: 1"]),
    "empty": ("", ["registers no technique"]),
    "no annotation": (DECORATED + "def mine(problem):\n    'Mine.'", ["technique 'mine'", "GuessProblem"]),
    "wrong answer": (
        DECORATED + "def mine(problem: GuessProblem) -> float:\n    'Mine.'",
        ["technique 'mine'", "returns Guess, not float"],
    ),
    "no docstring": (DECORATED + "def mine(problem: GuessProblem) -> Guess: ...", ["has no docstring"]),
    "positional argument": (
        DECORATED + "def mine(problem: GuessProblem, k=3) -> Guess:\n    'Mine.'",
        ["argument 'k' must be keyword-only"],
    ),
    "argument that cannot be stored": (
        DECORATED + "def mine(problem: GuessProblem, *, k=[3]) -> Guess:\n    'Mine.'",
        ["the default of 'k' is a list"],
    ),
    "argument without end": (
        DECORATED + "def mine(problem: GuessProblem, *, k=float('inf')) -> Guess:\n    'Mine.'",
        ["the default of 'k' cannot be stored", "finite"],
    ),
    "name that no id can hold": (
        IMPORTS
        + "def mine(problem: GuessProblem) -> Guess:\n    'Mine.'\n"
        + "mine.__name__ = 'mine-two'\ntechnique(cites='me')(mine)",
        ["technique 'mine-two'", "only letters, digits and _"],
    ),
    "unknown annotation": (
        DECORATED + "def mine(problem: 'GuesProblem') -> Guess:\n    'Mine.'",
        ["an annotation cannot be resolved", "GuesProblem"],
    ),
    "not a function": (DECORATED + "class Mine: pass", ["decorates functions, not type"]),
    "no citation": (
        IMPORTS + "@technique(cites=' ')\ndef mine(problem: GuessProblem) -> Guess:\n    'Mine.'",
        ["cites is empty"],
    ),
    "version zero": (
        IMPORTS + "@technique(cites='me', version=0)\ndef mine(problem: GuessProblem) -> Guess:\n    'Mine.'",
        ["version is 0; it starts at 1"],
    ),
    "decorator without call": (
        IMPORTS + "@technique\ndef mine(problem: GuessProblem) -> Guess:\n    'Mine.'",
        ["bad.py: cannot be imported", "TypeError"],
    ),
    "name of another": (
        DECORATED + "def half(problem: GuessProblem) -> Guess:\n    'Mine.'",
        ["guessing/half is registered twice", "bad.py", "fakes.py"],
    ),
    "name of the ceiling": (
        DECORATED + "def ceiling(problem: GuessProblem) -> Guess:\n    'Mine.'",
        ["the name 'ceiling' belongs to the row of the truth"],
    ),
}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_files_of_techniques(project: Project, plugin: str) -> None:
    text, words = PLUGINS[plugin]
    project.write("bad.py", text)
    _refused(project.bench("--bench-technique", "bad.py"), *words)


TASKS = {
    "empty": ("", ["registers no task"]),
    "crash": ("1 / 0", ["bench_bad.py: cannot be imported (line 1): ZeroDivisionError"]),
    "no planted": (
        IMPORTS + "@task()\ndef bad(model: Model, seed: int) -> int:\n    'Bad.'",
        ["return annotation must be Planted"],
    ),
    "name of another": (
        IMPORTS
        + "@task()\ndef numbers(model: Model, seed: int) -> Planted[GuessProblem, GuessTruth]:\n    'Bad.'",
        ["guessing/numbers is registered twice", "bench_bad.py", "bench_numbers.py"],
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_files_of_tasks(project: Project, task: str) -> None:
    text, words = TASKS[task]
    project.write("tasks/zz/bench_bad.py", text)
    _refused(project.bench(), *words)


def test_a_malformed_registry(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def registry() -> None:
        raise RegistryError("models.yaml:7: unknown key 'sise' (did you mean 'size'?)")

    monkeypatch.setattr(models.MODELS, "registry", registry)
    _refused(project.bench(), "models.yaml:7: unknown key 'sise'")


@pytest.mark.parametrize("content", [b"not a database at all " * 99, b"SQLite format 3\x00" + b"\x07" * 4096])
def test_a_store_that_cannot_be_used(project: Project, content: bytes) -> None:
    path = project.path / "my.store"
    path.write_bytes(content)
    _refused(project.bench("--bench-store", "my.store"), "my.store", "--bench-store")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "option",
    [["--bench-model", "small"], ["--bench-fresh"], ["--bench-tier", "quick"], ["--bench-seeds", "1"]],
)
def test_options_without_bench(project: Project, option: list[str]) -> None:
    result = project.here(*option)
    _refused(result, f"{option[0]} needs --bench")


def test_errors_come_before_workers_start_and_lose_nothing_stored(project: Project) -> None:
    project.bench("--bench-model", "small")
    before = project.stored()
    assert len(before) == 12
    project.write("bad.py", "1 / 0")
    _refused(project.bench("--bench-technique", "bad.py", "-n", "2"), "ZeroDivisionError")
    assert project.stored() == before


def test_help_and_markers_do_not_plan_a_run(project: Project) -> None:
    project.write("tasks/guessing/bench_numbers.py", "1 / 0")
    assert project.bench("--help").ret == 0
    assert project.bench("--markers").ret == 0
