"""The process that workers are forked from: what it imports beforehand, and how it ends unasked for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interp_bench.harness.isolation.staff import Nursery
from tests.isolated.lab import Lab

# Of the standard library, and imported by nothing here.
EXPECTED, OTHER = "tabnanny", "pyclbr"
FOUND = "assert ({expected!r} in sys.modules, {other!r} in sys.modules) == (True, False)"
FINE = "return Guess(numbers=torch.full((4,), 0.5))"


def test_a_module_that_is_expected_is_there_before_it_is_asked_for(lab: Lab) -> None:
    lab.nursery.expect([EXPECTED, "no_such_module"])
    lab.check(f"{FOUND.format(expected=EXPECTED, other=OTHER)}\n{FINE}", "ok", "")


def test_a_nursery_that_has_died_is_started_again_for_what_is_expected(lab: Lab) -> None:
    lab.nursery.start()
    lab.nursery._await_hello()
    assert lab.nursery._process is not None
    before = lab.nursery._process
    before.kill()
    before.wait()
    lab.nursery.expect([EXPECTED])
    assert lab.nursery._process is not before
    lab.check(f"{FOUND.format(expected=EXPECTED, other=OTHER)}\n{FINE}", "ok", "")


def test_a_technique_computes_in_small_pages(lab: Lab) -> None:
    get_huge_pages_disabled = 42
    lab.check(f"assert ctypes.CDLL(None).prctl({get_huge_pages_disabled}, 0, 0, 0, 0) == 1\n{FINE}", "ok", "")


def test_a_nursery_that_is_not_wanted_after_all_ends_amid_its_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    package = tmp_path / "packages" / "endless"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "loop.py").write_text(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(600)")
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
    made = Nursery(["endless"])
    made.start()
    process = made._process
    assert process is not None
    while not begun.exists():
        assert process.poll() is None
    waited: list[float | None] = []

    def wait(timeout: float | None = None) -> int:
        waited.append(timeout)
        return subprocess.Popen.wait(process, timeout)

    monkeypatch.setattr(process, "wait", wait)
    made.close()
    assert process.returncode == -signal.SIGKILL
    # A second time means that it was waited for in vain first.
    assert len(waited) == 1
