"""What the repository promises: its documents agree with the code, and its files keep the house rules."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import interp_bench
from interp_bench.harness import discovery
from interp_bench.harness.tiers import TIERS
from interp_bench.tracks.catalogue import CATALOGUE, Technique

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

LONGEST = 400
BANNED_NAMES = re.compile(r"(util|utils|helper|helpers|manager|managers|misc|common)")
FOLDERS = ("interp_bench", "tasks", "tests", "examples", "benchmarks", "scripts")
NAMED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "models.yaml")
# Put together here, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile("|".join(["/wo" + "rk/", "/tm" + "p/", "/ro" + "ot/", "/ho" + r"me/\w"]))
INDEX_HOSTS = re.compile("|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "--index" + "-url"]))


def python_files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def written_files() -> list[Path]:
    others = [ROOT / name for name in NAMED]
    hidden = [ROOT / ".ci" / "run", ROOT / ".pre-commit-config.yaml"]
    folders = ((ROOT / "docs", "*.md"), (ROOT / "scripts", "*.sh"), (ROOT / ".github", "*.yml"))
    found = [path for folder, pattern in folders for path in sorted(folder.rglob(pattern))]
    return [*python_files(), *others, *hidden, *found]


@pytest.fixture(scope="module")
def techniques() -> dict[str, Technique]:
    discovery.load_installed()
    folder = ROOT / "interp_bench" / "techniques"
    return {t.id: t for t in CATALOGUE.techniques.values() if t.origin.is_relative_to(folder)}


# ------------------------------------------------------------------ house rules


def test_files_hold_one_idea_and_say_so_by_their_name() -> None:
    files = python_files()
    assert len(files) > 100
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST} == {}
    assert [str(path) for path in files if BANNED_NAMES.fullmatch(path.stem)] == []


def test_functions_of_the_package_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "interp_bench").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and _code_lines(node) > 40
    ]
    assert long == []


def _code_lines(node: ast.FunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    text = ast.get_docstring(node, clean=False)
    return (node.end_lineno or 0) - node.lineno + 1 - (0 if text is None else text.count("\n") + 1)


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, INDEX_HOSTS], ids=["machine paths", "index hosts"])
def test_no_file_names_what_is_particular_to_one_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in written_files()
        for match in [pattern.search(path.read_text(encoding="utf-8"))]
        if match
    ]
    assert found == []


def test_every_technique_says_where_it_comes_from_and_what_it_costs(techniques: dict[str, Technique]) -> None:
    assert len(techniques) >= 16
    assert {t.track.name for t in techniques.values()} == set(CATALOGUE.tracks) >= {"features", "circuits"}
    assert [name for name, t in techniques.items() if not t.summary.endswith(".") or not t.cost] == []
    assert [name for name, t in techniques.items() if not t.floor and not re.search(r"[A-Z]", t.cites)] == []
    floors = [t.track.name for t in techniques.values() if t.floor]
    assert sorted(floors) == sorted(CATALOGUE.tracks)


def test_every_module_of_techniques_registers_one(techniques: dict[str, Technique]) -> None:
    origins = {t.origin for t in techniques.values()}
    shared = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "interp_bench" / "techniques").rglob("*.py"))
        if path.name != "__init__.py" and path not in origins
    ]
    assert shared == SHARED_BY_TECHNIQUES


SHARED_BY_TECHNIQUES = [
    "interp_bench/techniques/attribution/patterns.py",
    "interp_bench/techniques/attribution/relevance.py",
    "interp_bench/techniques/attribution/rescale.py",
    "interp_bench/techniques/attribution/rules.py",
    "interp_bench/techniques/attribution/segments.py",
    "interp_bench/techniques/circuits/hard_concrete.py",
    "interp_bench/techniques/concepts/effects.py",
    "interp_bench/techniques/concepts/interchange_training.py",
    "interp_bench/techniques/concepts/site_choice.py",
    "interp_bench/techniques/features/autoencoder.py",
    "interp_bench/techniques/features/dead_latents.py",
]
"""Modules that hold what several techniques share; everything else registers at least one."""


# -------------------------------------------------------------------- the facade


def test_the_facade_exports_what_it_lists_in_order() -> None:
    assert list(interp_bench.__all__) == sorted(interp_bench.__all__)
    for name in interp_bench.__all__:
        assert getattr(interp_bench, name).__doc__, name
    assert set(interp_bench.__all__) <= set(dir(interp_bench))
    with pytest.raises(AttributeError, match="no attribute 'Dictionery'"):
        getattr(interp_bench, "Dictionery")  # noqa: B009


def test_every_exported_name_is_documented_and_every_documented_one_exported() -> None:
    table = CONTRIBUTING.partition("| for | names |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(interp_bench.__all__)


def test_the_package_has_the_version_of_its_metadata_and_changelog() -> None:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        version = tomllib.load(stream)["project"]["version"]
    assert interp_bench.__version__ == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, flags=re.MULTILINE)[0] == version


# ----------------------------------------------------------------- the documents


def test_the_readme_begins_by_saying_what_this_is_and_what_it_is_not() -> None:
    first = README.split("\n## ")[0]
    assert "On which models does an interpretability technique work?" in first
    assert "This is not FlyingPumba's InterpBench." in first


def test_make_has_every_rule_that_the_documents_name() -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README + CONTRIBUTING, re.MULTILINE))
    assert {"bench", "test", "leaderboard"} <= named <= rules


def test_the_readme_names_every_option_of_the_plugin_and_no_other() -> None:
    source = (ROOT / "interp_bench" / "plugin" / "options.py").read_text(encoding="utf-8")
    defined = set(re.findall(r'"(--bench-[a-z-]+)"', source))
    assert set(re.findall(r"^\| `(--bench-[a-z-]+)", README, re.MULTILINE)) == defined
    assert set(re.findall(r"--bench-[a-z-]+", README + CONTRIBUTING)) <= defined


def test_the_readme_names_every_command_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    from interp_bench.cli import main

    with pytest.raises(SystemExit):
        main(["--help"])
    listed = set(re.findall(r"^    ([a-z]+)(?: |$)", capsys.readouterr().out, re.MULTILINE))
    assert set(re.findall(r"^\| `interp-bench (\w+)", README, re.MULTILINE)) == listed


def test_the_readme_names_every_tier_and_track_with_its_types() -> None:
    discovery.load_installed()
    assert all(f"`{tier}`" in README for tier in TIERS)
    rows = re.findall(r"^\| (\w+) \| (.+\?) \| `(\w+)` \| `(\w+)` \|", README, re.MULTILINE)
    assert {name: (question, problem, answer) for name, question, problem, answer in rows} == {
        t.name: (t.question, t.problem_type.__name__, t.answer_type.__name__)
        for t in CATALOGUE.tracks.values()
    }


def test_the_order_of_rooms_in_the_documents_is_the_one_that_is_tested() -> None:
    layers = importlib.import_module("tests.test_layers")
    assert f"{' < '.join(layers.ROOMS)}, plugin" in CONTRIBUTING


def test_documents_link_to_files_that_exist() -> None:
    for text in (README, CONTRIBUTING):
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / link).exists(), link


def test_the_example_of_the_readme_is_scored_outside_the_repository(tmp_path: Path) -> None:
    source = (ROOT / "examples" / "my_technique.py").read_text(encoding="utf-8")
    assert f"```python\n{source}```" in README
    (tmp_path / "my_technique.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--bench", "--bench-technique", "my_technique.py"]
    command += ["--bench-model", "native-30k", "--bench-seeds", "1", "--bench-min-skill", "exemplars:0.2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^exemplars +0\.[2-9]", done.stdout, re.MULTILINE), done.stdout
    assert (tmp_path / ".interp-bench" / "store.sqlite3").is_file()
