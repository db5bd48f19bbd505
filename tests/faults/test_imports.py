"""Modules that fail where a worker imports them: to tell what they register, or for a call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from interp_bench.errors import RegistrationError
from interp_bench.harness.discovery import load_techniques
from interp_bench.harness.isolation import registering
from interp_bench.harness.isolation.registering import Registrar
from interp_bench.harness.isolation.staff import Nursery
from interp_bench.harness.limits import Limits
from interp_bench.tracks.catalogue import CATALOGUE
from tests.isolated.lab import Lab, count_family, settled

LIMITS = Limits(seconds=1.0, around_seconds=1.0, memory_bytes=1 << 28)

FILE = """import ctypes, os, sys, time
{first}
import interp_bench_fakes
from interp_bench_fakes import Guess, GuessProblem
from interp_bench.tracks.catalogue import technique

@technique(cites="a stranger")
def {name}(problem: GuessProblem) -> Guess:
    '''Do something.'''
    return Guess(numbers=__import__("torch").full((4,), 0.5))
"""

LINE = r"cannot be imported \(line 2\): "
IMPORTS = {
    "an error": ("raise ValueError('no')", LINE + "ValueError: no"),
    "a missing module": ("import no_such_module", LINE + "ModuleNotFoundError: No module named '.*'"),
    "no python": ("this is no python", LINE + "SyntaxError: .*"),
    "an exit": ("sys.exit(3)", LINE + "SystemExit: 3"),
    "an odd error": ("raise BaseException('odd')", LINE + "BaseException: odd"),
    "a loop": ("while True: pass", "its module took longer than 2 s to import"),
    "a crash": ("ctypes.string_at(0)", r"its process was ended by SIGSEGV \(invalid memory access\)"),
    "the end": ("os._exit(0)", "ended its process with exit status 0 before it answered"),
    "memory": (
        "import mmap; taken = mmap.mmap(-1, 1 << 29); [taken.write(bytes(1 << 20)) for _ in range(512)]; "
        "time.sleep(60)",
        r"took more than 0.25 GiB \(--bench-memory\)",
    ),
    "output": (
        "for _ in range(100): os.write(1, bytes(1 << 20))",
        "wrote more than 64 MiB to its standard output and error",
    ),
}

PRETENDED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("interp_bench_fakes", {path!r})
sys.modules["interp_bench_fakes"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["interp_bench_fakes"])
"""


@pytest.fixture
def nursery(fakes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    """A nursery that has imported the pretended track, as it has the real ones in a run."""
    monkeypatch.setattr(registering, "_LIMITS", LIMITS)
    folder = tmp_path / "packages" / "pretended_tracks"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "fakes.py").write_text(PRETENDED.format(path=str(fakes.__file__)))
    monkeypatch.syspath_prepend(str(folder.parent))
    made = Nursery(["pretended_tracks"])
    yield made
    made.close()


def test_a_file_that_fails_where_it_is_imported_is_one_line(nursery: Nursery, tmp_path: Path) -> None:
    for number, (first, reason) in enumerate(IMPORTS.values()):
        path = tmp_path / f"stranger_{number}.py"
        path.write_text(FILE.format(first=first, name="mine"), encoding="utf-8")
        with pytest.raises(RegistrationError) as caught:
            Registrar(nursery).file(path)
        assert re.fullmatch(f"{path}: (could not be imported: )?{reason}", str(caught.value))
    assert not any(entry.name == "mine" for entry in CATALOGUE.techniques.values())
    path = tmp_path / "good.py"
    path.write_text(FILE.format(first="", name="mine"), encoding="utf-8")
    assert [found.name for found in Registrar(nursery).file(path)] == ["mine"]


def _worse(lab: Lab, first: str, name: str = "worse") -> str:
    """Register a file as it should be, and change it before a worker imports it."""
    path = lab.folder / "worse.py"
    path.write_text(FILE.format(first="", name="worse"), encoding="utf-8")
    load_techniques(path)
    path.write_text(FILE.format(first=first, name=name), encoding="utf-8")
    return "worse"


@pytest.mark.parametrize("name", ["an error", "an exit", "an odd error", "a loop", "a crash", "memory"])
def test_a_module_that_fails_for_a_call_fails_its_trial(lab: Lab, name: str) -> None:
    first, reason = IMPORTS[name]
    runner = lab.runner(seconds=1.0, around_seconds=1.0, memory_bytes=1 << 28)
    before = runner.run(lab.cell("reader")).trial
    trial = runner.run(lab.cell(_worse(lab, first))).trial
    other = {"a loop": "timed_out", "a crash": "crashed", "memory": "out_of_memory"}
    assert trial.status == other.get(name, "failed")
    assert re.fullmatch(f"({lab.folder / 'worse.py'}: )?{reason}", trial.reason)
    after = runner.run(lab.cell("reader")).trial
    assert (after.status, after.scores) == ("ok", before.scores)


def test_a_module_that_registers_another_name_the_second_time(lab: Lab) -> None:
    runner = lab.runner()
    trial = runner.run(lab.cell(_worse(lab, "", "other"))).trial
    path = lab.folder / "worse.py"
    assert trial.status == "failed"
    assert trial.reason == f"{path} registers no technique guessing/worse in a worker, though it did before"
    assert runner.run(lab.cell("reader")).trial.skill == 1.0


def test_what_an_import_leaves_running_is_ended(lab: Lab) -> None:
    runner = lab.runner()
    runner.run(lab.cell("reader"))
    running = settled(count_family, None)
    left = "import subprocess; subprocess.Popen(['sleep', '100'], start_new_session=True)"
    trial = runner.run(lab.cell(_worse(lab, left))).trial
    assert trial.reason == "ContractError: left 1 process running; wait for them, or end them"
    assert runner.run(lab.cell("reader")).trial.skill == 1.0
    assert settled(count_family, running) == running
