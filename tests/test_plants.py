"""A changed plant raises its task's version: fingerprints of what was planted are stored with it."""

from __future__ import annotations

import json

import pytest

from interp_bench.tracks.catalogue import Task
from tests.plants import MODELS, STORED, fingerprint, smallest, tasks

RENEW = "then write the fingerprints anew: python -m tests.plants"


def complaint(stored: dict | None, now: dict) -> str | None:
    """Return what to do about a fingerprint, or None when all is well."""
    if stored is None:
        return f"a new task has no fingerprint; look at its certificate, {RENEW}"
    if stored["version"] != now["version"]:
        return f"the version was raised from {stored['version']} to {now['version']}; {RENEW}"
    same_names = all(stored[key] == now[key] for key in ("model", "dials", "names"))
    if same_names and stored["sums"].keys() == now["sums"].keys():
        close = (now["sums"][name] == pytest.approx(stored["sums"][name], rel=1e-3) for name in now["sums"])
        if all(close):
            return None
    return f"the plant changed and the version did not; raise version= in its @task, {RENEW}"


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.id)
def test_a_plant_is_what_its_version_says(task: Task) -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert complaint(stored.get(task.id), fingerprint(task)) is None


@pytest.mark.slow
@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.id)
def test_a_task_takes_the_largest_seed_that_a_secret_gives(task: Task) -> None:
    model = MODELS.open(MODELS.registry().get(smallest(task)), "cpu")
    assert task.function(model, 2**31 - 1).certificate.checks


def test_every_fingerprint_belongs_to_a_task() -> None:
    assert json.loads(STORED.read_text(encoding="utf-8")).keys() == {task.id for task in tasks()}


def test_a_change_without_a_new_version_is_a_complaint() -> None:
    now = {"version": 1, "model": "m", "dials": {"rho": 0.5}, "names": ["a -> b"]}
    now["sums"] = {"weights": [2.0, 1.0]}
    assert complaint(now, now) is None
    assert complaint({**now, "sums": {"weights": [2.0, 1.0001]}}, now) is None
    for changed in ({"names": ["a -> c"]}, {"sums": {"weights": [2.0, 1.01]}}, {"dials": {"rho": 0.4}}):
        assert "raise version=" in str(complaint({**now, **changed}, now))
    assert "raised from 0 to 1" in str(complaint({**now, "version": 0}, now))
    assert "no fingerprint" in str(complaint(None, now))
