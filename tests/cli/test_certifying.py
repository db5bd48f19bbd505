"""`interp-bench certify`: the checks of one problem, planted anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp_bench.board import jsonl
from interp_bench.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_it_prints_the_checks_that_the_leaderboard_stores(capsys: pytest.CaptureFixture[str]) -> None:
    (stored,) = {
        json.dumps({n: c.model_dump() for n, c in trial.certificate.items()}, sort_keys=True)
        for trial in jsonl.read(ROOT / "leaderboard" / "trials")
        if (trial.task, trial.model, trial.seed, trial.status) == ("induction", "native-30k", 0, "ok")
    }
    assert main(["certify", "induction", "native-30k", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is True
    assert printed["checks"].keys() == json.loads(stored).keys()
    for name, check in json.loads(stored).items():
        assert printed["checks"][name]["value"] == pytest.approx(check["value"], abs=0.1), name
        assert printed["checks"][name]["bound"] == check["bound"]


def test_a_table_ends_with_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "circuits/induction", "native-30k", "--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["check", "value", "bound"]
    assert lines[-1].startswith("certified (")


def test_a_missed_bound_is_named_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "induction", "native-30k", "--dial", "write_leak=1"]) == 1
    assert "invalid: behaviour" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inductoin", "native-30k"], "no task is called 'inductoin' (did you mean 'induction'?)"),
        (["induction", "resnet18"], "cannot be planted in resnet18: needs a model of modality lm"),
        (
            ["induction", "native-30k", "--dial", "rho"],
            "give NAME=VALUE with a dial of circuits/induction: rho",
        ),
        (["induction", "native-30k", "--dial", "rho=big"], "rho takes a float such as 0.35"),
        (["induction", "native-30k", "--dial", "rho=nan"], "rho takes a float"),
        (
            ["token_evidence", "native-30k", "--dial", "patterns=-1"],
            "attribution/token_evidence cannot be planted with patterns=-1: RuntimeError: ",
        ),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", *arguments]) == 4
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
