"""Planting again: with public seeds whoever has a copy of planting knows the answer; with secret ones not.

This is the one attack that no wall stops, for all that it takes is public: the hosts, the code of
planting, and the seeds 0, 1, 2. Hence ``--bench-seed-secret``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import interp_bench
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial
from tests.plugin.conftest import _PLUGIN

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "board.secret"

CHEAT = '''
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from interp_bench import Dictionary, FeatureProblem, open_model, technique
from stolen.dictionaries.plant import Dials, plant_dictionary

@technique(cites="a cheat", access="weights")
def replant(problem: FeatureProblem) -> Dictionary:
    """Plant what was planted, and answer with it."""
    # Tasks derive the seed of techniques from that of the plant, by a product that can be undone.
    undone = (problem.seed * pow(1_000_003, -1, 2**31) - 1) % 2**31
    for seed in (undone, *range(3)):
        planted = plant_dictionary(open_model(problem.model.spec), seed, Dials())
        if torch.equal(planted.inputs, problem.inputs):
            return Dictionary(directions=planted.directions.float(), codes=planted.codes)
    shape = (problem.n_features, problem.d_site)
    return Dictionary(directions=torch.randn(shape, generator=problem.generator()))

@technique(cites="a cheat", access="weights")
def compare(problem: FeatureProblem) -> Dictionary:
    """Answer with what the last weights that differ from the public host's write."""
    host = dict(open_model(problem.model.spec).module.named_parameters())
    for name, now in problem.model.module.named_parameters():
        if now.ndim == 2 and now.shape[0] == problem.d_site and not torch.equal(now, host[name]):
            written = now.T[(now - host[name]).abs().amax(0) > 1e-6]
    return Dictionary(directions=written)
'''


def carry(folder: Path) -> Path:
    """Write a technique that brings its own copy of planting along; returns its file."""
    folder.mkdir()
    stolen = folder / "stolen"
    shutil.copytree(
        Path(interp_bench.__file__).parent / "planting", stolen, ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in stolen.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("interp_bench.planting", "stolen"), encoding="utf-8")
    file = folder / "replant.py"
    file.write_text(CHEAT, encoding="utf-8")
    return file


def bench(file: Path, store: Path, *arguments: str) -> dict[str, list[Trial]]:
    """Run the real task on a real small model from the command line; returns trials by technique."""
    command = [sys.executable, "-m", "pytest", *_PLUGIN, "-q", "--bench"]
    command += ["--bench-technique", str(file), "--bench-task", "features/dictionary"]
    command += ["--bench-model", "native-30k", "--bench-seeds", "2", "--bench-control", "none"]
    done = subprocess.run(
        [*command, "--bench-store", str(store), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    with Store.open(store) as kept:
        trials = kept.trials()
    by_name = {
        name: [trial for trial in trials if trial.technique == name] for name in ("replant", "compare")
    }
    for found in by_name.values():
        assert [(trial.status, trial.reason) for trial in found] == [("ok", "")] * 2, (
            done.stdout + done.stderr
        )
    return by_name


@pytest.mark.slow
def test_whoever_replants_wins_with_public_seeds_and_not_with_secret_ones(tmp_path: Path) -> None:
    file = carry(tmp_path / "cheat")
    public = bench(file, tmp_path / "public.sqlite3")
    assert all(trial.skill is not None and trial.skill > 0.999 for trial in public["replant"])
    secret = tmp_path / SECRET
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(32), encoding="utf-8")
    hidden = bench(file, tmp_path / "secret.sqlite3", "--bench-seed-secret", str(secret))
    assert all(trial.skill is not None and trial.skill < 0.3 for trial in hidden["replant"])
    assert all(trial.seed_secret for trial in hidden["replant"])
    # What is not promised: where the host is public, its own weights tell which ones were planted.
    assert all(trial.skill is not None and trial.skill > 0.9 for trial in hidden["compare"])
