"""The folder of the site: whole, the same bytes again, and nothing else is ever replaced."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from interp_bench.board import jsonl
from interp_bench.board.site import runtime
from interp_bench.board.site.build import MARK, build
from interp_bench.errors import InterpBenchError, StoreError
from tests.small_site import CARD, EXHIBIT, NoVega, small_board


@pytest.fixture(autouse=True)
def _no_vega(monkeypatch):
    monkeypatch.setattr(runtime, "Bundling", NoVega)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_it_holds_a_page_for_every_technique_and_model(site):
    names = set(contents(site))
    fixed = {"index", "cliffs", "heat", "cost", "claims", "transfer", "models", "truth"}
    assert {f"{name}.html" for name in fixed} <= names
    made = {
        f"{track}.{name}"
        for track in ("circuits", "features")
        for name in ("steady", "falling", "ceiling", "random")
    }
    assert {name for name in names if name.startswith("techniques/")} == {
        f"techniques/{name}.html" for name in made
    }
    assert len([name for name in names if name.startswith("models/")]) == 6
    assert {name for name in names if name.startswith("assets/")} == {
        f"assets/{name}" for name in ("site.css", "state.js", "tables.js", "charts.js", "drill.js", "vega.js")
    }


def test_the_same_trials_in_any_order_give_the_same_bytes(site, exported, tmp_path):
    trials = small_board()
    random.Random(2).shuffle(trials)
    lines = [jsonl.line(trial) for trial in trials]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:100]), "utf-8")
    (tmp_path / "b.jsonl").write_text("\n".join(lines[100:]), "utf-8")
    build(tmp_path, tmp_path / "again", exhibits=[EXHIBIT], cards=[CARD])
    assert contents(tmp_path / "again") == contents(site)


def test_a_site_is_replaced_as_a_whole(exported, tmp_path):
    out = tmp_path / "site"
    first = build(exported, out)
    (out / "techniques" / "gone.html").write_text("old", "utf-8")
    again = build(exported, out)
    assert first == again
    assert not (out / "techniques" / "gone.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_it_says_what_it_wrote(exported, tmp_path):
    built = build(exported, tmp_path / "site")
    found = contents(tmp_path / "site")
    assert (built.files, built.bytes) == (len(found), sum(map(len, found.values())))
    assert built.pages == sum(name.endswith(".html") for name in found)


def test_what_is_no_site_is_left_alone(exported, tmp_path):
    kept = tmp_path / "precious"
    kept.mkdir()
    (kept / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(StoreError, match="is no site; give an empty or a new folder"):
        build(exported, kept)
    with pytest.raises(StoreError, match="is no site"):
        build(exported, kept / "thesis.txt")
    assert contents(kept) == {"thesis.txt": b"years of work"}


def test_an_empty_folder_will_do(exported, tmp_path):
    (tmp_path / "site").mkdir()
    build(exported, tmp_path / "site")
    assert (tmp_path / "site" / MARK).exists()


def test_no_trials_and_no_place_are_one_line(exported, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(StoreError, match="there are no trials"):
        build(tmp_path / "none", tmp_path / "site")
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StoreError, match="cannot"):
        build(exported, tmp_path / "file" / "site")
    assert not (tmp_path / "site").exists()


def test_a_site_that_cannot_be_made_leaves_the_old_one(exported, tmp_path, monkeypatch):
    build(exported, tmp_path / "site")
    before = contents(tmp_path / "site")

    class Broken(NoVega):
        def script(self) -> str:
            raise InterpBenchError("no chart library")

    monkeypatch.setattr(runtime, "Bundling", Broken)
    with pytest.raises(InterpBenchError, match="no chart library"):
        build(exported, tmp_path / "site")
    assert contents(tmp_path / "site") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]
