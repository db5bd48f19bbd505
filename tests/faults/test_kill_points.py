"""The benchmark that kills runs: it finds what is lost, computed twice or corrupt, and here finds nothing."""

from __future__ import annotations

import importlib.util
import random
import sqlite3
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from interp_bench.harness.store import Store

if TYPE_CHECKING:
    from tests.conftest import MakeTrial

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_points.py"
SELECTION = ("--bench-model", "native-30k", "--bench-task", "class_tokens", "--bench-seeds", "2")


@pytest.fixture
def kill_points() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("kill_points", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_points"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["kill_points"]


def test_a_trial_that_is_gone_or_changed_is_found(
    kill_points: ModuleType, tmp_path: Path, make_trial: MakeTrial
) -> None:
    ledger = kill_points.Ledger(path=tmp_path / "store.sqlite3")
    with Store.open(ledger.path) as store:
        for seed in range(4):
            store.put(make_trial(seed=seed, key=str(seed)))
    printed = [f"dictionary[pca-tiny-{seed}]" for seed in range(4)]
    assert +ledger.examine(printed) == {}
    with sqlite3.connect(ledger.path) as hand:
        hand.execute("DELETE FROM uses WHERE trial_id = 1")
        hand.execute("DELETE FROM trials WHERE id = 1")
        hand.execute("UPDATE trials SET json = replace(json, '0.8', '0.7') WHERE id = 2")
    hand.close()
    assert +ledger.examine(printed) == {"lost": 3}  # a row and its report, and a row that changed


def test_a_report_without_a_trial_is_found(kill_points: ModuleType, tmp_path: Path) -> None:
    ledger = kill_points.Ledger(path=tmp_path / "store.sqlite3")
    assert +ledger.examine(["dictionary[pca-tiny-0]"]) == {"lost": 1}
    Store.open(ledger.path).close()
    assert +ledger.examine(["dictionary[pca-tiny-0]"]) == {"lost": 1}


def test_a_settled_trial_that_was_computed_again_is_found(
    kill_points: ModuleType, tmp_path: Path, make_trial: MakeTrial
) -> None:
    ledger = kill_points.Ledger(path=tmp_path / "store.sqlite3")
    with Store.open(ledger.path) as store:
        store.put(make_trial(run_id="a", key="k", status="crashed", reason="killed"))
        store.put(make_trial(run_id="b", key="k"))
        store.reuse("k", "c")
    assert +ledger.examine([]) == {}
    with Store.open(ledger.path) as store:
        store.put(make_trial(run_id="d", key="k"))
    assert +ledger.examine([]) == {"duplicated": 1}


def test_a_damaged_store_is_found(
    kill_points: ModuleType, tmp_path: Path, make_trial: MakeTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = kill_points.Ledger(path=tmp_path / "store.sqlite3")
    with Store.open(ledger.path) as store:
        for seed in range(30):
            store.put(make_trial(seed=seed, key=str(seed)))
    ledger.path.write_bytes(ledger.path.read_bytes()[:-5000])
    assert ledger.examine([])["corrupt"] >= 1
    assert "malformed" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_kills_lose_nothing(
    kill_points: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = kill_points.results(kill_points.undisturbed(tmp_path / "undisturbed", SELECTION))
    assert len(expected) == 20
    campaign = kill_points.Campaign(
        folder=tmp_path, expected=expected, rng=random.Random(8), selection=SELECTION
    )
    kinds = ("while it starts", "main process", "whole process group", "one worker of `-n 2`")
    assert set(kinds) <= set(kill_points.KINDS)
    monkeypatch.setattr(campaign, "_choose", cycle(kinds).__next__)
    campaign.run(4)
    total = campaign.total()
    assert total["kills"] == 4
    assert {name: total[name] for name in kill_points.FAULTS} == dict.fromkeys(kill_points.FAULTS, 0)
