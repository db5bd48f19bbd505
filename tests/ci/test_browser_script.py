"""The script that brings a browser: content with one, it installs one as root, or says what is skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ci.conftest import SCRIPTS

SKIPPED = "no Chromium can be installed here: tests of the site in a browser will be skipped\n"
Run = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs the script where there are only these programs."""

    def run(**programs: str) -> tuple[str, list[str]]:
        calls = tmp_path / "calls"
        for name, does in programs.items():
            program = tmp_path / name.replace("_", "-")
            program.write_text(f'#!/bin/sh\necho "{program.name} $*" >> {calls}\n{does}\n', "utf-8")
            program.chmod(0o755)
        bash = shutil.which("bash")
        assert bash is not None
        done = subprocess.run(
            [bash, str(SCRIPTS / "browser.sh")],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "")
        return done.stderr, calls.read_text("utf-8").splitlines() if calls.exists() else []

    return run


@pytest.mark.parametrize("name", ["chromium", "chromium_browser", "google_chrome"])
def test_a_browser_that_is_there_is_enough(run: Run, name: str) -> None:
    assert run(**{name: "exit 1", "id": "echo 0", "apt_get": "exit 0"}) == ("", [])


def test_root_installs_one(run: Run) -> None:
    said, calls = run(id="echo 0", apt_get="exit 0")
    assert said == ""
    assert [call.split()[:3] for call in calls if call.startswith("apt-get")] == [
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install"],
    ]
    assert calls[-1].endswith(" chromium")


@pytest.mark.parametrize(
    "programs",
    [{"id": "echo 1000", "apt_get": "exit 0"}, {"id": "echo 0"}, {"id": "echo 0", "apt_get": "exit 100"}],
    ids=["not root", "no apt", "no network"],
)
def test_where_none_can_be_had_the_tests_are_skipped_loudly(run: Run, programs: dict[str, str]) -> None:
    assert run(**programs)[0] == SKIPPED
