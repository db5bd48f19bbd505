"""Threads, provenance, estimates and the search for files."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch

from interp_bench.harness.estimate import Timings, spoken
from interp_bench.harness.folders import task_files, tasks_folder
from interp_bench.harness.provenance import provenance
from interp_bench.harness.threads import VARIABLES, ThreadSetting, thread_count

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


@pytest.mark.parametrize(
    ("wanted", "workers", "cores", "threads"),
    [
        (None, 1, 8, 1),
        (None, 4, 8, 1),
        ("4", 1, 8, 4),
        ("4", 2, 8, 4),
        ("4", 4, 8, 2),
        ("4", 16, 8, 1),
        ("junk", 1, 8, 1),
        ("0", 1, 8, 1),
    ],
)
def test_a_process_gets_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, workers: int, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    if wanted is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert thread_count(workers) == threads


def test_threads_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    setting = ThreadSetting(before + 2)
    assert torch.get_num_threads() == before + 2
    assert {os.environ[name] for name in VARIABLES} == {str(before + 2)}
    setting.undo()
    assert torch.get_num_threads() == before
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_provenance_names_versions_and_no_path(tmp_path: Path) -> None:
    found = provenance(device="cpu", threads=1, project=tmp_path)
    assert found.torch == torch.__version__.partition("+")[0] or found.torch
    assert found.git_commit == ""
    assert found.started_at.endswith("+00:00")
    text = found.model_dump_json()
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text.replace('"/"', "") or str(Path.home()) == "/"


def test_provenance_names_the_commit_of_the_project() -> None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        pytest.skip("the tests are not in a repository")
    commit = provenance(device="cpu", threads=1, project=root).git_commit
    assert len(commit.removesuffix("+")) == 40


def test_an_estimate_sums_calls_and_plants(fakes: ModuleType, make_trial: MakeTrial) -> None:
    past = [
        make_trial(
            track="guessing",
            task="numbers",
            model="small",
            technique="reader",
            seed=seed,
            seconds=seconds,
            grade_seconds=1.0,
            plant_seconds=10.0,
        )
        for seed, seconds in enumerate((1.0, 2.0, 30.0))
    ]
    cells = [cell for cell in fakes.grid("reader", "half", seeds=(0, 1)).cells if cell.row.name == "reader"]
    estimate = Timings(past).of(cells)
    assert estimate.seconds == pytest.approx(2 * (3.0 + 10.0))
    assert estimate.untimed == 0
    assert Timings(past).of(cells, workers=2).seconds == pytest.approx(13.0)
    assert Timings([]).of(cells).untimed == 2
    assert str(Timings([]).of(cells)) == "2 never timed here"
    assert str(estimate) == "about 26 s"


def test_durations_are_spoken() -> None:
    assert [spoken(seconds) for seconds in (12, 240, 9000)] == ["12 s", "4 min", "2.5 h"]


def test_task_files_are_found_once_and_not_in_environments(tmp_path: Path) -> None:
    for name in ("a/bench_x.py", "a/test_x.py", ".venv/bench_no.py", "b/c/bench_y.py", "bench_z.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    found = task_files([tmp_path, tmp_path / "a" / "bench_x.py", tmp_path / "a" / "test_x.py"])
    assert [path.name for path in found] == ["bench_z.py", "bench_x.py", "bench_y.py"]


def test_a_project_without_tasks_gets_those_of_the_package(tmp_path: Path) -> None:
    packaged = tasks_folder(tmp_path)
    assert packaged.is_dir()
    (tmp_path / "tasks").mkdir()
    assert tasks_folder(tmp_path) == packaged
    (tmp_path / "tasks" / "bench_own.py").write_text("", encoding="utf-8")
    assert tasks_folder(tmp_path) == tmp_path / "tasks"
