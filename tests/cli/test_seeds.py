"""`interp-bench seeds`: what a board publishes once a round is over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp_bench.cli import main

ROOT = Path(__file__).resolve().parents[2]
VALUE = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(ROOT)
    path = tmp_path / "secret"
    path.write_text(VALUE, encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def test_it_prints_seeds_and_commitment(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["seeds", "--secret", secret, "--task", "induction", "--model", "native-30k"]
    assert main([*arguments, "--seeds", "2", "--json"]) == 0
    # HMAC-SHA256 of circuits/induction|native-30k|0 and |1 begin with 46fe8783 and b1df7eda.
    assert json.loads(capsys.readouterr().out) == {
        "commitment": "7b2d6b836214dd06",
        "task": "circuits/induction",
        "model": "native-30k",
        "seeds": {"0": 595542977, "1": 1492107117},
    }
    assert main([*arguments, "--seeds", "1,"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "commitment 7b2d6b836214dd06"
    assert lines[-1].endswith("interp-bench certify circuits/induction native-30k --seed 1492107117")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--task": "inductoin"}, "no task is called 'inductoin' (did you mean 'induction'?)"),
        ({"--model": "native-31k"}, "no model 'native-31k' in models.yaml (did you mean 'native-30k'?)"),
        ({"--secret": "env:NO_SUCH"}, "--secret env:NO_SUCH: no environment variable is called 'NO_SUCH'"),
        ({"--seeds": "many"}, "seeds is 'many'; give a number"),
    ],
)
def test_a_mistake_is_one_line(
    secret: str, change: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--secret": secret, "--task": "induction", "--model": "native-30k", **change}
    assert main(["seeds", *(word for pair in given.items() for word in pair)]) == 4
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
