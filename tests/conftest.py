"""Fixtures that several rooms share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from interp_bench.harness.trial import Provenance, Trial

pytest_plugins = ["pytester"]

# Properties take seconds with `ci`, the default, and always try the same examples; `nightly` tries at
# least 10,000 new ones each. Choose with --hypothesis-profile=nightly or HYPOTHESIS_PROFILE=nightly.
_FIXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci", max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=_FIXED
)
settings.register_profile("nightly", max_examples=10_000, deadline=None, suppress_health_check=_FIXED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

MakeTrial = Callable[..., Trial]


@pytest.fixture
def make_trial() -> MakeTrial:
    """Return a function that makes one valid trial; keyword arguments change its fields."""
    return _make_trial


def _make_trial(**changes: Any) -> Trial:
    provenance = {
        "interp_bench": "0.1.0",
        "python": "3.11.9",
        "torch": "2.15.0",
        "numpy": "2.3.0",
        "platform": "Linux x86_64",
        "started_at": "2026-01-02T03:04:05Z",
    }
    provenance.update(changes.pop("provenance", {}))
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "technique": "pca",
        "track": "features",
        "task": "dictionary",
        "model": "tiny",
        "seed": 0,
        "status": "ok",
        "primary": "mcc",
        "technique_version": 1,
        "technique_fingerprint": "0" * 16,
        "task_version": 1,
        "model_revision": "r1",
        "params": 30_000,
        "modality": "lm",
        "kind": "native",
        "ladder": "native",
        "seconds": 0.5,
        "forwards": 4,
        "provenance": Provenance(**provenance),
    }
    fields.update(changes)
    if fields["status"] == "ok":
        fields.setdefault("skill", 0.8)
        fields.setdefault("scores", {fields["primary"]: fields["skill"]})
    question = ("technique", "track", "task", "model", "seed", "technique_version", "task_version")
    fields.setdefault("key", "-".join(str(fields[name]) for name in question))
    return Trial(**fields)


@pytest.fixture
def fakes() -> Iterator[ModuleType]:
    """The pretended track, tasks, techniques and models, as the only ones in the catalogue."""
    from interp_bench.tracks.catalogue import CATALOGUE

    shelves = (CATALOGUE.tracks, CATALOGUE.techniques, CATALOGUE.tasks)
    kept = [dict(shelf) for shelf in shelves]
    for shelf in shelves:
        shelf.clear()
    path = Path(__file__).with_name("fakes.py")
    spec = importlib.util.spec_from_file_location("interp_bench_fakes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["interp_bench_fakes"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["interp_bench_fakes"]
    for shelf, entries in zip(shelves, kept, strict=True):
        shelf.clear()
        shelf.update(entries)
