"""Files and plugins are imported with failures of one line, and what they register is found."""

from __future__ import annotations

import importlib.metadata
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from interp_bench.errors import RegistrationError
from interp_bench.harness import discovery
from interp_bench.tracks.catalogue import CATALOGUE

TECHNIQUE = """
import torch
from interp_bench_fakes import Guess, GuessProblem
from interp_bench.tracks.catalogue import technique

@technique(cites="me")
def mine(problem: GuessProblem) -> Guess:
    '''Mine.'''
    return Guess(numbers=torch.zeros(4))
"""


def test_a_file_registers_what_it_holds_now(tmp_path: Path, fakes: ModuleType) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TECHNIQUE, encoding="utf-8")
    (first,) = discovery.load_techniques(path)
    assert first.id == "guessing/mine"
    path.write_text(TECHNIQUE.replace("mine(", "other("), encoding="utf-8")
    (second,) = discovery.load_techniques(path)
    assert second.id == "guessing/other"
    assert second.fingerprint != first.fingerprint
    assert "guessing/mine" not in CATALOGUE.techniques


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_like_this", r"cannot be imported \(line 1\): ModuleNotFoundError: No module named"),
        ("x = 1\ndef broken(:\n", r"cannot be imported \(line 2\): SyntaxError: invalid syntax"),
        ("1 / 0", r"cannot be imported \(line 1\): ZeroDivisionError: division by zero"),
        ("\nraise SystemExit(2)", r"cannot be imported \(line 2\): SystemExit: 2"),
        ("x = 1", r"registers no technique; decorate a function with @technique"),
        ("raise Exception('two\\nlines')", r"Exception: two lines"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    tmp_path: Path, fakes: ModuleType, text: str, message: str
) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RegistrationError, match=message) as caught:
        discovery.load_techniques(path)
    assert "\n" not in str(caught.value)
    assert "bad.py" in str(caught.value)


def test_a_name_that_is_taken_names_both_files(tmp_path: Path, fakes: ModuleType) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(TECHNIQUE, encoding="utf-8")
    discovery.load_techniques(tmp_path / "one.py")
    with pytest.raises(RegistrationError, match=r"registered twice: in .*one.py and in .*two.py"):
        discovery.load_techniques(tmp_path / "two.py")


def test_warnings_of_imported_code_are_not_errors(tmp_path: Path, fakes: ModuleType) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import warnings\nwarnings.warn('old')\n" + TECHNIQUE, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(discovery.load_techniques(path)) == 1


def test_a_file_without_tasks_is_refused(tmp_path: Path, fakes: ModuleType) -> None:
    path = tmp_path / "bench_none.py"
    path.write_text("x = 1", encoding="utf-8")
    with pytest.raises(RegistrationError, match="registers no task; decorate a function with @task"):
        discovery.load_tasks(path)


class Entry:
    """Stands in for an entry point of an installed package."""

    name = "theirs"
    value = "their_package.techniques"

    class dist:
        name = "their-package"

    def load(self) -> None:
        raise ImportError("libfoo is missing")


def test_a_broken_plugin_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, fakes: ModuleType
) -> None:
    monkeypatch.setattr(discovery, "PACKAGES", ())
    monkeypatch.setattr(discovery, "entry_points", lambda group: [Entry()])
    with pytest.raises(
        RegistrationError,
        match=r"entry point 'theirs' of package 'their-package' .*: cannot be imported: ImportError: libfoo",
    ):
        discovery.load_installed()
    assert importlib.metadata.entry_points is not discovery.entry_points
