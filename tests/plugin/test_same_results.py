"""Real trials give the same numbers, bit for bit, here, in workers of xdist and on a Ray cluster."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from interp_bench.harness.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
SELECTION = (
    "--bench-model", "native-30k", "--bench-model", "convnext-slim-20k",
    "--bench-task", "dictionary", "--bench-task", "token_evidence", "--bench-task", "visual_evidence",
    "--bench-technique", "k_means", "--bench-technique", "l1_autoencoder", "--bench-technique", "pca",
    "--bench-technique", "saliency", "--bench-technique", "smooth_grad", "--bench-seeds", "1",
)  # fmt: skip
WAYS = {"-n 1": ("-n", "1"), "-n 2": ("-n", "2"), "ray": ("--bench-executor", "ray:2")}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@cache
def _plain(folder: Path) -> dict[str, tuple[object, ...]]:
    return _run(folder)


def _run(folder: Path, *arguments: str) -> dict[str, tuple[object, ...]]:
    """Return all that a run measured, apart from times and places, by key."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").touch()
    store = folder / "store.sqlite3"
    command = [
        sys.executable, "-m", "pytest", "--bench", str(REPOSITORY / "tasks"), *SELECTION,
        "--bench-store", str(store), *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with Store.open(store) as opened:
        trials = opened.trials()
    found = {
        trial.key: (
            trial.name, trial.status, trial.reason, trial.skill, trial.scores, trial.floor_scores,
            trial.floor_spread, trial.ceiling_scores, trial.certificate, trial.forwards, trial.backwards,
            trial.provenance.threads,
        )
        for trial in trials
    }  # fmt: skip
    assert len(found) == len(trials) == 13
    return found


@pytest.mark.parametrize("way", WAYS)
def test_where_a_trial_runs_changes_no_bit_of_it(way: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    plain = _plain(tmp_path_factory.getbasetemp() / "plain")
    there = _run(tmp_path_factory.mktemp("there"), *WAYS[way])
    assert there.keys() == plain.keys()
    assert {key: value for key, value in there.items() if value != plain[key]} == {}
