"""Gates read their options, compare with stored runs, and say what is gone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from interp_bench.errors import InterpBenchError
from interp_bench.harness.gates import (
    Gates,
    MaxDrop,
    load_comparison,
    parse_max_drop,
    parse_max_drops,
    parse_min_skill,
    source_name,
)
from interp_bench.harness.store import Store

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


def test_min_skill_is_read() -> None:
    assert parse_min_skill("pca:0.5", ["pca"]).bound == 0.5
    assert parse_min_skill("features/pca:-1", ["features/pca"]).technique == "features/pca"


@pytest.mark.parametrize("text", ["pca", "pca:", ":0.5", "pca:high", "pca:nan", ""])
def test_min_skill_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InterpBenchError, match="give a technique and a skill"):
        parse_min_skill(text, ["pca"])


def test_min_skill_of_an_unknown_technique_is_refused() -> None:
    with pytest.raises(InterpBenchError, match=r"no technique is called 'pcaa' .did you mean 'pca'"):
        parse_min_skill("pcaa:0.5", ["pca"])


@pytest.mark.parametrize(
    ("text", "before", "allowed"),
    [("skill:-5%", 0.8, 0.76), ("skill:-0.05", 0.8, 0.75), ("skill:0", 0.8, 0.8)],
)
def test_the_largest_drop_is_read(text: str, before: float, allowed: float) -> None:
    assert parse_max_drop(text).allowed(before) == pytest.approx(allowed)


def test_a_relative_drop_goes_down_below_zero_too() -> None:
    assert parse_max_drop("skill:-10%").allowed(-0.5) == pytest.approx(-0.55)


@pytest.mark.parametrize("text", ["skill", "skill:", "skill:5%", "score:-5%", "skill:-x%", "-5%"])
def test_a_drop_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InterpBenchError, match="give the largest drop"):
        parse_max_drop(text)


def test_gates_ignore_controls(make_trial: MakeTrial, tmp_path: Path) -> None:
    control, plain = make_trial(control="unplanted", skill=0.0), make_trial(skill=0.0)
    minima = [parse_min_skill("pca:0.5", ["pca"])]
    gates = Gates(
        minima=minima,
        drop=MaxDrop(amount=0.1, relative=False),
        before={t.cell: t.model_copy(update={"skill": 1.0}) for t in (control, plain)},
    )
    assert gates.failure(control) == ""
    assert gates.failure(plain) != ""
    lines = [trial.model_dump_json() + "\n" for trial in (control, plain)]
    (tmp_path / "t.jsonl").write_text("".join(lines), encoding="utf-8")
    assert load_comparison("t.jsonl", store=tmp_path / "s", root=tmp_path) == {plain.cell: plain}


def test_a_trial_fails_below_its_bound(make_trial: MakeTrial) -> None:
    gates = Gates(
        minima=[parse_min_skill("pca:0.5", ["pca"]), parse_min_skill("features/ica:0.9", ["features/ica"])]
    )
    assert gates.failure(make_trial(skill=0.5)) == ""
    assert gates.failure(make_trial(skill=0.499)).startswith("skill 0.499 is below the bound 0.5")
    assert gates.failure(make_trial(technique="ica", skill=0.8)) != ""
    assert gates.failure(make_trial(technique="other", skill=-3.0)) == ""
    assert gates.failure(make_trial(status="invalid", reason="x")) == ""


def test_a_trial_fails_when_it_drops(make_trial: MakeTrial) -> None:
    old = make_trial(skill=0.8)
    gates = Gates(drop=MaxDrop(amount=0.05, relative=True), before={old.cell: old})
    assert gates.failure(make_trial(skill=0.77)) == ""
    assert "was 0.800 in run run-1" in gates.failure(make_trial(skill=0.75))
    assert gates.failure(make_trial(seed=1, skill=0.1)) == ""


def test_the_mean_of_a_technique_fails_when_it_drops() -> None:
    gates = Gates(mean_drop=MaxDrop(amount=0.1, relative=True))
    assert gates.mean_failure("features/pca", 0.5, 0.45) == ""
    assert gates.mean_failure("features/pca", 0.5, 0.449) == (
        "mean skill of features/pca is 0.449 and was 0.500; --bench-compare-fail allows 0.450"
    )
    assert gates.mean_failure("features/pca", None, None) == ""
    assert Gates(drop=MaxDrop(amount=0.0, relative=False)).mean_failure("x", 1.0, 0.0) == ""


def test_drops_of_trials_and_of_means_are_read_together() -> None:
    trial, mean = parse_max_drops(["skill:-5%", "mean:-0.02"])
    assert trial == MaxDrop(amount=0.05, relative=True)
    assert mean == MaxDrop(amount=0.02, relative=False)
    assert parse_max_drops([]) == (None, None)
    assert parse_max_drops(["mean:-2%"])[0] is None
    for text in ("median:-2%", "mean:2%", "mean", "mean:-x"):
        with pytest.raises(InterpBenchError, match="give the largest drop, such as skill:-5%"):
            parse_max_drops([text])


def test_what_is_no_cell_any_more_is_gone(fakes: ModuleType, make_trial: MakeTrial) -> None:
    def stored(**changes: object) -> object:
        return make_trial(**{"track": "guessing", "task": "numbers", "model": "small", **changes})

    trials = [
        stored(technique="reader"),
        stored(technique="removed"),
        stored(technique="reader", model="removed"),
        stored(technique="reader", seed=7),
        stored(technique="removed", status="invalid", reason="x"),
    ]
    gates = Gates(before={trial.cell: trial for trial in trials[:4]})
    cells = fakes.grid("reader").cells
    assert gates.gone(cells, narrowed=()) == trials[1:3]
    assert gates.gone(cells, narrowed=("technique",)) == trials[2:3]
    assert gates.gone(cells, narrowed=("technique", "model")) == []


def test_runs_stores_and_folders_can_be_compared_with(tmp_path: Path, make_trial: MakeTrial) -> None:
    store, old, new = tmp_path / "store.sqlite3", make_trial(run_id="a"), make_trial(run_id="b", skill=0.1)
    with Store.open(store) as opened:
        opened.put(old)
        opened.put(new)
    (tmp_path / "board").mkdir()
    lines = tmp_path / "board" / "features.jsonl"
    lines.write_text(old.model_dump_json() + "\n\n", encoding="utf-8")
    for source, expected in {
        "a": old,
        "b": new,
        "last": new,
        "store.sqlite3": new,
        "board": old,
        "board/features.jsonl": old,
    }.items():
        assert load_comparison(source, store=store, root=tmp_path) == {old.cell: expected}, source
    assert load_comparison("last", store=store, root=tmp_path, current="b") == {old.cell: old}
    named = {"a": "run a", "last": "run b", "board": "board"}
    assert {name: source_name(name, store=store, root=tmp_path) for name in named} == named
    assert source_name("last", store=store, root=tmp_path, current="b") == "run a"
    assert source_name("last", store=tmp_path / "none", root=tmp_path) == "run last"


def test_what_cannot_be_compared_with_is_refused(tmp_path: Path, make_trial: MakeTrial) -> None:
    store = tmp_path / "store.sqlite3"
    with Store.open(store) as opened:
        opened.put(make_trial(run_id="run-2026"))
    with pytest.raises(InterpBenchError, match=r"no run, file or folder 'run-2025' .did you mean 'run-2026'"):
        load_comparison("run-2025", store=store, root=tmp_path)
    with pytest.raises(InterpBenchError, match="the newest is run-2026"):
        load_comparison("zzz", store=store, root=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InterpBenchError, match=r"holds no \*.jsonl"):
        load_comparison("empty", store=store, root=tmp_path)
    (tmp_path / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InterpBenchError, match=r"bad.jsonl:1: not a trial: "):
        load_comparison("bad.jsonl", store=store, root=tmp_path)
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InterpBenchError, match=r"binary.jsonl:1: not a trial"):
        load_comparison("binary.jsonl", store=store, root=tmp_path)
    with pytest.raises(InterpBenchError, match="there is no run"):
        load_comparison("a", store=tmp_path / "none.sqlite3", root=tmp_path)
    assert not (tmp_path / "none.sqlite3").exists()
