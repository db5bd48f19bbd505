"""The shell scripts, in a project whose benchmark only says how it was called."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ci.conftest import SCRIPTS

MAKEFILE = """\
test:
\t@echo tested
bench:
\t@echo '$(BENCH_ARGS)' >> called
\t@test ! -f broken
"""
INTERP_BENCH = """\
#!/bin/sh
echo "interp-bench $*" >> called
test ! -f unstored || { echo "there is no store" >&2; exit 4; }
test "$1 $2" != "board show" || echo "the table"
"""
PYTHON = """\
#!/bin/sh
echo "python $*" >> called
"""
ONE = "@technique(cites='a')\ndef one(problem): ...\n"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project with the scripts, and a base commit without techniques."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts" / "ci")
    (tmp_path / "Makefile").write_text(MAKEFILE, "utf-8")
    for name, text in {"interp-bench": INTERP_BENCH, "python": PYTHON}.items():
        path = tmp_path / ".venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)
    return tmp_path


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "BENCH_ARGS", "OUT", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)

    def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60, check=False)

    return run


def called(place: Path) -> str:
    return (place / "called").read_text("utf-8")


def test_a_table_is_written_of_the_techniques_that_were_named(place: Path, run: Run) -> None:
    done = run(
        "scripts/ci/technique_table.sh", "out", "features/a", "circuits/b", BENCH_ARGS="--bench-seeds=1"
    )
    assert done.returncode == 0, done.stderr
    assert (place / "out" / "table.txt").read_text("utf-8") == "the table\n"
    for part in ("isolate=fresh", "technique=features/a", "technique=circuits/b", "seeds=1", "store="):
        assert f"--bench-{part}" in called(place)


def test_a_broken_technique_has_a_table_and_a_run_without_trials_none(place: Path, run: Run) -> None:
    (place / "broken").touch()
    assert run("scripts/ci/technique_table.sh", "out", "features/a").returncode == 2
    assert (place / "out" / "table.txt").is_file()
    (place / "unstored").touch()
    assert run("scripts/ci/technique_table.sh", "other", "features/a").returncode == 4
    assert not (place / "other" / "table.txt").exists()


@pytest.mark.parametrize("name", ["pca", "features/pca; touch bad", "../x", "features/--x", "*/*", ""])
def test_what_is_no_name_is_refused(place: Path, run: Run, name: str) -> None:
    assert run("scripts/ci/technique_table.sh", "out", name).returncode == 2
    assert not (place / "called").exists()


def commit(place: Path, run: Run) -> str:
    (place / ".gitignore").write_text("called\nout\n", "utf-8")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "--allow-empty", "-m", "x")):
        assert run(*git, *arguments).returncode == 0
    return run("git", "rev-parse", "HEAD").stdout.strip()


def test_a_pull_request_is_scored_where_it_changes_a_technique(place: Path, run: Run) -> None:
    base = commit(place, run)
    done = run("scripts/ci/score_pull_request.sh", BASE=base, NUMBER="12", OUT="out")
    assert (done.returncode, done.stdout) == (0, "no technique is added or changed\n")
    assert not (place / "out").exists()
    path = place / "interp_bench" / "techniques" / "features" / "ones.py"
    path.parent.mkdir(parents=True)
    path.write_text(ONE, "utf-8")
    commit(place, run)
    done = run("scripts/ci/score_pull_request.sh", BASE=base, NUMBER="12", OUT="out")
    assert done.returncode == 0, done.stderr
    assert "added or changed: features/one" in done.stdout
    assert sorted(path.name for path in (place / "out").iterdir()) == ["number", "table.txt"]
    assert (place / "out" / "number").read_text("utf-8") == "12\n"
    assert "--bench-technique=features/one" in called(place)


def test_the_board_is_made_of_committed_and_fresh_trials(place: Path, run: Run) -> None:
    (place / "broken").touch()
    done = run("scripts/ci/board.sh", "site")
    assert done.returncode == 0, done.stderr
    lines = called(place).splitlines()
    assert lines[0].endswith("--bench-tier=standard")
    assert lines[1].startswith("interp-bench export --store ")
    assert lines[2].startswith("python scripts/ci/merge_trials.py ")
    assert " leaderboard/trials " in lines[2]
    assert lines[-1].startswith("interp-bench board build --trials ")
    assert lines[-1].endswith(" --out site")


def test_the_board_is_not_made_of_nothing(place: Path, run: Run) -> None:
    (place / "unstored").touch()
    assert run("scripts/ci/board.sh", "site").returncode == 4


def test_tests_are_those_of_make(run: Run) -> None:
    assert run("scripts/ci/tests.sh").stdout == "tested\n"
