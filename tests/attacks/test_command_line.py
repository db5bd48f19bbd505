"""Strangers' files and packages in a whole run: where they are imported, what they can read and write."""

from __future__ import annotations

import builtins
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import interp_bench
from interp_bench.harness import discovery
from interp_bench.harness.isolation import staff
from interp_bench.harness.isolation.packing import file_of
from tests.attacks.conftest import SEARCH, Project, needs_wall
from tests.plugin.conftest import CONFTEST, FAKES, IN_PROCESS

PACKAGE = "pretended_package"
TECHNIQUE = """
import builtins, gc, json, os, sys
import torch
from interp_bench_fakes import Guess, GuessProblem
from interp_bench.tracks.catalogue import technique
{head}
@technique(cites="a stranger"{marks})
def {name}(problem: GuessProblem) -> Guess:
    '''Do something.'''
    {body}
    return Guess(numbers=torch.full((4,), 0.5))
"""
MARKS = """
with open({note!r}, "a") as stream:
    stream.write(f"{{os.getpid()}}\\n")
builtins.a_stranger_was_here = True
"""


@pytest.fixture
def note() -> Iterator[Path]:
    """A file that workers can write to."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm")
    path = Path("/dev/shm", f"interp-bench-test-{uuid.uuid4().hex}")
    yield path
    path.unlink(missing_ok=True)
    vars(builtins).pop("a_stranger_was_here", None)


@pytest.fixture
def isolated(project: Project) -> Iterator[Project]:
    """A project whose pretended track and techniques workers have as well, as they have the real ones."""
    project.write(f"site/{PACKAGE}/__init__.py", "")
    project.write(f"site/{PACKAGE}/fakes.py", "import interp_bench_fakes\n")
    project.write("site/interp_bench_fakes.py", FAKES.read_text(encoding="utf-8"))
    project.monkeypatch.syspath_prepend(project.path / "site")
    project.monkeypatch.setattr(discovery, "PACKAGES", (PACKAGE,))
    text = CONFTEST.replace("models.MODELS = interp_bench_fakes.MODELS", IN_PROCESS)
    project.pytester.makeconftest(text.replace("PACKAGES = ()", f"PACKAGES = ({PACKAGE!r},)"))
    file_of.cache_clear()
    yield project
    file_of.cache_clear()


def bench(project: Project, *arguments: str, isolate: str = "fresh") -> pytest.RunResult:
    narrow = ("--bench-model", "small", "--bench-seeds", "1", f"--bench-isolate={isolate}")
    return project.bench(*narrow, *arguments)


def written(
    project: Project, *, name: str = "stranger", head: str = "", body: str = "pass", marks: str = ""
) -> str:
    text = TECHNIQUE.format(name=name, head=head, body=body.replace("\n", "\n    "), marks=marks)
    project.write(f"strangers/{name}.py", text)
    return f"strangers/{name}.py"


def test_a_strangers_file_is_never_imported_by_the_harness(isolated: Project, note: Path) -> None:
    file = written(isolated, head=MARKS.format(note=str(note)))
    before = set(sys.modules)
    bench(isolated, "--bench-technique", file).assert_outcomes(passed=3)
    pids = note.read_text(encoding="utf-8").split()
    assert len(pids) >= 2  # it was asked what it registers, and called
    assert str(os.getpid()) not in pids
    assert not hasattr(builtins, "a_stranger_was_here")
    assert not [name for name in set(sys.modules) - before if "stranger" in name]
    assert {trial.technique: trial.status for trial in isolated.stored()}["stranger"] == "ok"
    # Without isolation it is imported here.
    bench(isolated, "--bench-technique", file, "--bench-fresh", isolate="none").assert_outcomes(passed=3)
    assert str(os.getpid()) in note.read_text(encoding="utf-8").split()
    assert hasattr(builtins, "a_stranger_was_here")


def test_an_installed_package_is_never_imported_by_the_harness(isolated: Project, note: Path) -> None:
    isolated.monkeypatch.setattr(staff, "_NURSERIES", {})  # one that is started with this path
    text = TECHNIQUE.format(name="packaged", head=MARKS.format(note=str(note)), body="pass", marks="")
    isolated.write("site/a_cheat.py", text)
    isolated.write(
        "site/a_cheat-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-cheat\nVersion: 1.0\n"
    )
    isolated.write("site/a_cheat-1.0.dist-info/entry_points.txt", "[interp_bench]\ncheat = a_cheat\n")
    bench(isolated, "--bench-technique", "packaged").assert_outcomes(passed=3)
    assert str(os.getpid()) not in note.read_text(encoding="utf-8").split()
    assert not hasattr(builtins, "a_stranger_was_here")
    assert "a_cheat" not in sys.modules
    assert {trial.technique: trial.status for trial in isolated.stored()}["packaged"] == "ok"


TWIN = """
source = '''
@technique(cites="a stranger", version=9)
def reader(problem: GuessProblem) -> Guess:
    "Read the numbers from the weights."
    return Guess(numbers=torch.zeros(4))
'''
import interp_bench_fakes
exec(compile(source, interp_bench_fakes.__file__ if {forged} else __file__, "exec"))
"""


@pytest.mark.parametrize("forged", [True, False], ids=["forged origin", "own origin"])
def test_a_built_in_technique_cannot_be_replaced(isolated: Project, forged: bool) -> None:
    file = written(isolated, head=TWIN.format(forged=forged))
    result = bench(isolated, "--bench-technique", file)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*guessing/reader is registered twice*rename one of them*"])
    bench(isolated, "--bench-technique", "reader").assert_outcomes(passed=3)
    assert {t.technique: t.skill for t in isolated.stored()}["reader"] == 1.0


def test_a_file_may_lie_in_a_folder_that_tasks_are_looked_for_in(isolated: Project) -> None:
    """Of such a folder only the tasks are hidden."""
    file = written(isolated)
    bench(isolated, "--bench-technique", file, ".").assert_outcomes(passed=3)


def test_a_stranger_does_not_lower_the_floor(isolated: Project) -> None:
    result = bench(isolated, "--bench-technique", written(isolated, marks=", floor=True"))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*'stranger'*is marked floor=True*leave floor=True out*"])


def test_a_file_of_techniques_registers_no_task(isolated: Project, note: Path) -> None:
    """A task runs beside the truth, so whoever could bring one along could read it."""
    head = (
        MARKS.format(note=str(note))
        + """
from interp_bench_fakes import GuessTruth, plant
from interp_bench.model.handle import Model
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import task
@task()
def mine(model: Model, seed: int) -> Planted[GuessProblem, GuessTruth]:
    '''Numbers.'''
    return plant(model, seed)
"""
    )
    result = bench(isolated, "--bench-technique", written(isolated, head=head))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*registers a track or a task, which runs beside the truth*"])
    assert str(os.getpid()) not in note.read_text(encoding="utf-8").split()


READ = """
import tempfile
paths = json.loads({paths!r})
def opened(path):
    open(path, "rb").read(1)
def linked(path):
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(path, folder + "/link")
        open(folder + "/link", "rb").read(1)
def hard(path):
    with tempfile.TemporaryDirectory() as folder:
        os.link(path, folder + "/link")
def around(path):
    open("/proc/self/root" + path, "rb").read(1)
def shown(path):
    import subprocess
    subprocess.run(["cat", path], check=True, capture_output=True)
def asked(path):
    import sqlite3
    sqlite3.connect(path).execute("select * from sqlite_master").fetchall() or 1 / 0
ways = (opened, linked, hard, around, shown) + ((asked,) if "sqlite" in paths[0] else ())
def through(path):
    return [way.__name__ for way in ways if tried(lambda: way(path)) == "done"]
raise LookupError(json.dumps({{os.path.basename(path): through(path) for path in paths}}))
"""


def test_store_tasks_results_secret_and_planting_cannot_be_read(isolated: Project) -> None:
    needs_wall("files")
    isolated.write("board.secret", "0123456789abcdef" * 2).chmod(0o600)
    isolated.write("leaderboard/guessing.jsonl", "{}\n")
    isolated.write("open.txt", "for all\n")
    bench(isolated, "--bench-technique", "half").assert_outcomes(passed=3)
    planting = Path(interp_bench.__file__).parent / "planting" / "certificate.py"
    inside = (".interp-bench/store.sqlite3", "tasks/guessing/bench_numbers.py", "leaderboard/guessing.jsonl",
              "board.secret", "open.txt")  # fmt: skip
    paths = [str(isolated.path / name) for name in inside] + [str(planting)]
    file = written(isolated, head=SEARCH, body=READ.format(paths=json.dumps(paths)).strip())
    bench(isolated, "--bench-technique", file, "--bench-seed-secret", "board.secret")
    found = _said(isolated)
    assert found.pop("open.txt") == ["opened", "linked", "around", "shown"]
    assert not any(found.values()), found
    assert len(found) == 5
    bench(isolated, "--bench-technique", file, isolate="none")
    assert all("opened" in ways for ways in _said(isolated).values())


def _said(project: Project) -> dict[str, list[str]]:
    [*_, trial] = [trial for trial in project.stored() if trial.technique == "stranger"]
    found: dict[str, list[str]] = json.loads(trial.reason.removeprefix("LookupError: "))
    return found


WRITE = """
text = "import builtins; builtins.a_stranger_was_here = True"
def write(way):
    return lambda path: open(path, way).write(text)
ways = [write(way) for way in ("w", "a", "r+")] + [
    os.unlink, os.rmdir, lambda path: os.truncate(path, 0), lambda path: os.rename(path, path + "x"),
    lambda path: os.mkdir(path + "y"), lambda path: os.symlink("/", path + "z"),
]
paths = json.loads({paths!r})
done = [path for path in paths for way in ways if tried(lambda: way(path)) == "done"]
raise LookupError(json.dumps(done))
"""


def test_nothing_can_be_written_that_somebody_else_reads(isolated: Project) -> None:
    """Results, tasks, what python runs when it starts, and compiled files of the package."""
    needs_wall("files")
    package = Path(interp_bench.__file__).parent
    site = Path(pytest.__file__).parents[1]
    isolated.write("leaderboard/guessing.jsonl", "{}\n")
    bench(isolated, "--bench-technique", "half").assert_outcomes(passed=3)
    names = (
        ".interp-bench/store.sqlite3",
        "tasks/guessing/bench_numbers.py",
        "tasks/guessing/bench_more.py",
        "leaderboard/guessing.jsonl",
        "conftest.py",
        "sitecustomize.py",
        "site/interp_bench_fakes.py",
    )
    mine = [isolated.path / name for name in names]
    before = {path: path.read_bytes() for path in mine if path.exists()}
    others = [site / "cheat-of-a-test.pth", site / "cheat_of_a_test.py", package / "cheat_of_a_test.py",
              package / "__pycache__" / "cheat_of_a_test.pyc", Path.home() / ".cheat-of-a-test",
              Path(tempfile.gettempdir(), "cheat-of-a-test")]  # fmt: skip
    paths = json.dumps([str(path) for path in mine + others])
    file = written(isolated, head=SEARCH, body=WRITE.format(paths=paths).strip())
    bench(isolated, "--bench-technique", file)
    try:
        assert _said(isolated) == []
        stored = mine[0]
        assert all(path.read_bytes() == text for path, text in before.items() if path != stored)
        assert not any(path.exists() for path in mine if path not in before)
        assert not any(path.exists() for path in others)
    finally:
        for path in others:
            path.unlink(missing_ok=True)
    assert {trial.technique for trial in isolated.stored()} >= {"half", "stranger"}


def test_workers_get_no_secrets_of_the_environment(isolated: Project) -> None:
    names = ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "BOARD_SECRET", "PYTEST_CURRENT_TEST")
    for name in names[:-1]:
        isolated.monkeypatch.setenv(name, "told to nobody")
    isolated.monkeypatch.setattr(staff, "_NURSERIES", {})  # one that is started with these
    body = f"""
texts = [repr(dict(os.environ)), open("/proc/self/environ").read()]
raise LookupError(json.dumps([name for name in {names} if any(name in text for text in texts)]))
"""
    file = written(isolated, body=body.strip())
    bench(isolated, "--bench-technique", file)
    assert _said(isolated) == []
    bench(isolated, "--bench-technique", file, "--bench-fresh", isolate="none")
    assert set(_said(isolated)) >= set(names[:-1])
