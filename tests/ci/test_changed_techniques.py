"""Which techniques a pull request adds or changes, from the text of its files alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from interp_bench.harness import discovery
from interp_bench.tracks.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "interp_bench" / "techniques"

ONE = (
    "@technique(cites='a')\ndef one(problem): ...\n\n\n@tracks.technique(cites='b')\ndef two(problem): ...\n"
)
HALVES = (
    "from interp_bench.techniques.features import shared\n\n@technique(cites='c')\ndef half(problem): ...\n"
)
SHARED = "from interp_bench.techniques.features.deep import thing\n\ndef technique_like(): ...\n"
FILES = {
    "interp_bench/techniques/features/ones.py": ONE,
    "interp_bench/techniques/features/halves.py": HALVES,
    "interp_bench/techniques/features/shared.py": SHARED,
    "interp_bench/techniques/features/deep.py": "thing = 1\n",
    "interp_bench/techniques/circuits/ones.py": ONE.replace("def two", "def three"),
}


@pytest.fixture
def module(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("changed_techniques")


@pytest.mark.parametrize(
    ("edited", "names"),
    [
        ([], []),
        (["interp_bench/techniques/features/ones.py"], ["features/one", "features/two"]),
        (["interp_bench/techniques/circuits/ones.py"], ["circuits/one", "circuits/three"]),
        (["interp_bench/techniques/features/shared.py"], ["features/half"]),
        (["interp_bench/techniques/features/deep.py"], ["features/half"]),
        (["interp_bench/techniques/features/gone.py"], []),
        (["interp_bench/techniques/README.md"], []),
    ],
)
def test_a_technique_is_touched_by_its_file_and_by_what_that_imports(
    module: ModuleType, edited: list[str], names: list[str]
) -> None:
    assert module.techniques_touched(FILES, edited) == names


def test_the_parsed_names_are_those_that_are_registered(module: ModuleType) -> None:
    discovery.load_installed()
    registered = {t.id for t in CATALOGUE.techniques.values() if t.origin.is_relative_to(FOLDER)}
    sources = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FOLDER.rglob("*.py")}
    assert set(module.techniques_touched(sources, sources)) == registered
    assert "features/topk_autoencoder" in module.techniques_touched(
        sources, ["interp_bench/techniques/features/autoencoder.py"]
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], str]:
    """Return a function that commits files and returns the commit."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *arguments], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout.strip()

    git("init", "-q")

    def commit(files: dict[str, str]) -> str:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "x")
        return git("rev-parse", "HEAD")

    return commit


def test_between_two_commits(
    module: ModuleType, repository: Callable[[dict[str, str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = repository(FILES)
    unrelated = repository({"README.md": "x"})
    assert module.main([base, unrelated]) == 0
    assert capsys.readouterr().out == ""
    repository({"interp_bench/techniques/features/new ü.py": "@technique(cites='d')\ndef new(p): ...\n"})
    assert module.main([base]) == 0
    assert capsys.readouterr().out == "features/new\n"
    repository({"interp_bench/techniques/features/deep.py": "thing = 2\n"})
    assert module.main([base, "HEAD"]) == 0
    assert capsys.readouterr().out == "features/half\nfeatures/new\n"
    assert module.main(["HEAD~1"]) == 0
    assert capsys.readouterr().out == "features/half\n"


def test_nothing_is_executed(
    module: ModuleType, repository: Callable[[dict[str, str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = repository(FILES)
    bomb = "raise SystemExit('executed')\n\n" + ONE
    repository({"interp_bench/techniques/features/ones.py": bomb})
    assert module.main([base]) == 0
    assert capsys.readouterr().out == "features/one\nfeatures/two\n"


def test_mistakes_end_with_two(
    module: ModuleType, repository: Callable[[dict[str, str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = repository(FILES)
    for arguments in ([], ["--output=x"], ["a", "b", "c"], ["", "HEAD"], ["0" * 40]):
        assert module.main(arguments) == 2
    repository({"interp_bench/techniques/features/ones.py": "def broken(:\n"})
    capsys.readouterr()
    assert module.main([base]) == 2
    assert capsys.readouterr().err.startswith("interp_bench/techniques/features/ones.py:1: ")
