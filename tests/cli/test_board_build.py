"""``interp-bench board build``: a site of exported trials, or one line that says what is amiss."""

from __future__ import annotations

import pytest

from interp_bench.board import jsonl
from interp_bench.board.gallery import Exhibit
from interp_bench.board.site import runtime
from interp_bench.cli import describing
from interp_bench.errors import InterpBenchError
from tests.small_site import NoVega


class Described:
    """Stands for the process that imports every technique."""

    def exhibits(self):
        yield Exhibit(
            name="eap", track="circuits", summary="What it does.", note="", access="forward", cost="",
            runs_on="lm", cites="Nobody", arguments={},
        )  # fmt: skip

    def close(self):
        pass


@pytest.fixture
def built(run, board, tmp_path, monkeypatch):
    jsonl.export(board[:60], tmp_path / "leaderboard" / "trials")
    monkeypatch.setattr(runtime, "Bundling", NoVega)
    monkeypatch.setattr(describing, "Describing", Described)
    return run


@pytest.fixture
def board(make_trial):
    return [make_trial(track="circuits", technique="eap", task="planted", seed=seed) for seed in range(3)]


def test_it_writes_a_site_and_says_where(built, tmp_path):
    ran = built("board", "build", "--out", "site")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("site written: ")
    assert ran.out.endswith("; open site/index.html\n")
    assert "What it does." in (tmp_path / "site/techniques/circuits.eap.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "leaderboard"), "is no site"),
        (("--out", "site", "--trials", "nowhere"), "there are no trials"),
        ((), "--out"),
    ],
)
def test_a_mistake_is_one_line(built, arguments, words):
    ran = built("board", "build", *arguments)
    assert ran.status == 4
    assert ran.out == ""
    assert words in ran.err
    assert ran.err.count("\n") == 1


def test_without_the_libraries_it_says_how_to_get_them(built, monkeypatch):
    def missing():
        raise InterpBenchError(runtime.MISSING)

    monkeypatch.setattr(runtime, "require", missing)
    ran = built("board", "build", "--out", "site")
    assert (ran.status, ran.err) == (4, f"interp-bench: {runtime.MISSING}\n")


def test_techniques_that_cannot_be_described_are_one_line(monkeypatch):
    monkeypatch.setattr(describing, "_PRINT", "raise ImportError('a plugin broke')")
    found = describing.Describing()
    with pytest.raises(InterpBenchError, match="techniques cannot be described: ImportError: a plugin broke"):
        list(found.exhibits())
    found.close()


def test_what_a_plugin_prints_is_no_description(monkeypatch):
    monkeypatch.setattr(describing, "_PRINT", "import sys; print('hello'); sys.stdout.write('\\n[]')")
    found = describing.Describing()
    assert list(found.exhibits()) == []
    found.close()


def test_every_technique_describes_itself(capsys):
    describing.print_exhibits()
    import json

    from interp_bench.tracks.catalogue import CATALOGUE

    found = json.loads(capsys.readouterr().out.rpartition("\n")[2])
    assert {f"{one['track']}/{one['name']}" for one in found} == set(CATALOGUE.techniques)
