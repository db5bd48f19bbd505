"""``--bench-seed-secret``: another plant, another key, and nothing of the secret within reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

VALUE = "0123456789abcdef0123456789abcdef"
COMMITMENT = "7b2d6b836214dd06"
NARROW = ("--bench-technique", "reader", "--bench-model", "small", "--bench-seeds", "1")


@pytest.fixture
def secret(project: Project) -> str:
    project.write("board.secret", VALUE + "\n").chmod(0o600)
    return "board.secret"


def test_secret_and_public_trials_stand_beside_one_another(project: Project, secret: str) -> None:
    project.bench(*NARROW).assert_outcomes(passed=3)
    result = project.bench(*NARROW, "--bench-seed-secret", secret)
    result.stdout.fnmatch_lines([f"*seeds 0 of secret {COMMITMENT}, cpu*", "*0 stored already; 3 to run*"])
    again = project.bench(*NARROW, "--bench-seed-secret", secret)
    again.stdout.fnmatch_lines(["*3 stored already; none to run"])
    project.bench(*NARROW).stdout.fnmatch_lines(["*3 stored already; none to run"])
    trials = project.stored()
    assert sorted(trial.seed_secret for trial in trials) == [""] * 3 + [COMMITMENT] * 3
    assert {trial.seed for trial in trials} == {0}
    assert VALUE not in result.stdout.str() + result.stderr.str()


def test_a_short_secret_is_one_line_and_exit_status_4(project: Project, secret: str) -> None:
    project.write(secret, "short\n")
    result = project.bench(*NARROW, "--bench-seed-secret", secret)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--bench-seed-secret board.secret: the secret has 5 bytes and needs 16*"])


LOOK = """import os
    from pathlib import Path
    texts = [repr(dict(os.environ)), Path('/proc/self/environ').read_bytes().decode(errors='replace')]
    Path(f'saw-{os.getpid()}').write_text(str(any(%r in text for text in texts)))"""


@pytest.mark.slow
def test_workers_read_the_secret_and_forget_the_variable(project: Project) -> None:
    project.technique(body=LOOK % VALUE)
    project.monkeypatch.setenv("BOARD_SECRET", VALUE)
    arguments = ("--bench-technique", "mine.py", *NARROW[2:], "--bench-seed-secret", "env:BOARD_SECRET")
    project.apart("--bench", *arguments, "-n", "1").assert_outcomes(passed=3)
    project.apart("--bench", *arguments, "--bench-fresh").assert_outcomes(passed=3)
    assert {trial.seed_secret for trial in project.stored()} == {COMMITMENT}
    assert [path.read_text(encoding="utf-8") for path in project.path.glob("saw-*")] == ["False"] * 2
