"""The store keeps every trial, and refuses files that it cannot use."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interp_bench.errors import StoreError
from interp_bench.harness.store import APPLICATION_ID, Store
from interp_bench.harness.trial import CONTROLS, SCHEMA, CheckNumbers

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store.sqlite3"


def test_a_trial_comes_back_as_it_was(path: Path, make_trial: MakeTrial) -> None:
    check = CheckNumbers(value=float("inf"), relation="<=", bound=0.5, passed=False)
    trial = make_trial(certificate={"necessity": check}, technique_arguments={"k": 3, "on": True, "x": None})
    with Store.open(path) as store:
        store.put(trial)
    with Store.open(path) as store:
        assert store.get(trial.key) == trial
        assert store.trials() == [trial]
        assert store.get("another") is None


def test_a_later_run_of_the_same_key_keeps_the_earlier_one(path: Path, make_trial: MakeTrial) -> None:
    first, second = make_trial(run_id="a", skill=0.1), make_trial(run_id="b", skill=0.2)
    with Store.open(path) as store:
        store.put(first)
        store.put(second)
        assert store.trials() == [first, second]
        assert store.trials("a") == [first]
        assert store.get(first.key) == second
        assert store.latest() == [second]


def test_within_a_run_the_second_replaces_the_first(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        store.put(make_trial(skill=0.1))
        store.put(make_trial(skill=0.2))
        assert [trial.skill for trial in store.trials()] == [0.2]


def test_a_reused_trial_belongs_to_both_runs(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        store.put(make_trial(run_id="a"))
        store.reuse(make_trial().key, "b")
        store.reuse(make_trial().key, "b")
        assert store.trials("b") == store.trials("a")
        assert len(store.trials()) == 1
        assert store.runs() == ["a", "b"]
        with pytest.raises(StoreError, match="no trial of key nothing"):
            store.reuse("nothing", "b")


def test_latest_follows_a_version_that_was_taken_back(path: Path, make_trial: MakeTrial) -> None:
    old, new = make_trial(run_id="a"), make_trial(run_id="b", technique_version=2)
    with Store.open(path) as store:
        store.put(old)
        store.put(new)
        assert store.latest() == [new]
        store.reuse(old.key, "c")
        assert store.latest() == [old]


def test_latest_has_one_trial_for_each_technique_task_model_and_seed(
    path: Path, make_trial: MakeTrial
) -> None:
    trials = [make_trial(seed=seed, model=model, key=f"{seed}{model}") for seed in (0, 1) for model in "ab"]
    with Store.open(path) as store:
        for trial in trials:
            store.put(trial)
        assert {trial.key for trial in store.latest()} == {"0a", "1a", "0b", "1b"}


def test_a_control_replaces_no_other_trial(path: Path, make_trial: MakeTrial) -> None:
    trials = [make_trial(key=control, control=control) for control in ("", *CONTROLS)]
    with Store.open(path) as store:
        for trial in trials:
            store.put(trial)
        assert {trial.control for trial in store.latest()} == {"", *CONTROLS}
        assert store.get("unplanted") == trials[1]


def test_a_file_from_before_there_were_controls_is_read(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        store.put(make_trial(run_id="a"))
    with sqlite3.connect(path) as older:
        older.execute("UPDATE trials SET json = json_remove(json, '$.control')")
    older.close()
    newer = make_trial(run_id="b", key="other")
    with Store.open(path) as store:
        assert store.latest() == [make_trial(run_id="a")]
        store.put(newer)
        assert store.latest() == [newer]


def test_the_newest_trial_of_a_key_settles_it(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        store.put(make_trial(run_id="a", key="k", status="failed", reason="x"))
        assert store.settled() == frozenset()
        store.put(make_trial(run_id="b", key="k"))
        assert store.settled() == {"k"}


def test_a_skip_is_settled_only_by_the_technique_itself(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        store.put(make_trial(key="absent", status="skipped", reason="its weights are not here"))
        declined = {"floor_scores": {"mcc": 0.1}, "ceiling_scores": {"mcc": 1.0}}
        store.put(make_trial(key="declined", status="skipped", reason="too many edges", **declined))
        store.put(make_trial(key="invalid", status="invalid", reason="not certified"))
        assert store.settled() == {"declined", "invalid"}


def test_two_writers_at_once_lose_nothing(path: Path, make_trial: MakeTrial) -> None:
    def write(run: str) -> None:
        with Store.open(path) as store:
            for seed in range(40):
                store.put(make_trial(run_id=run, seed=seed, key=f"{run}{seed}"))

    threads = [threading.Thread(target=write, args=(run,)) for run in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store.open(path) as store:
        assert len(store.trials()) == 120


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes\n" * 200, encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"notes.txt: file is not a database; move it away, or give another"):
        Store.open(path)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="database of another program"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_with_the_way_out(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    newer.close()
    with pytest.raises(StoreError, match=rf"has schema {SCHEMA + 1} .*upgrade interp_bench"):
        Store.open(path)


def test_a_damaged_file_is_refused(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        for seed in range(200):
            store.put(make_trial(seed=seed, key=str(seed)))
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 20] = b"\xff" * (4096 * 17)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"move it away, or give another file") as caught:
        Store.open(path)
    assert "\n" not in str(caught.value)


def test_a_row_that_is_no_trial_is_named(path: Path, make_trial: MakeTrial) -> None:
    with Store.open(path) as store:
        store.put(make_trial())
    with sqlite3.connect(path) as hand:
        hand.execute("""UPDATE trials SET json = '{"key": 1}'""")
    hand.close()
    with Store.open(path) as store, pytest.raises(StoreError, match="holds a trial that cannot be read"):
        store.trials()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot use the store"):
        Store.open(tmp_path / "file" / "store.sqlite3")


def test_the_header_names_the_program(path: Path) -> None:
    Store.open(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()
