"""Trials of every kind, as values and as JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from interp_bench.harness.trial import CONTROLS, SCHEMA, STATUSES, Trial
from tests.fuzz.strategies import SURROGATE

finite = st.floats(allow_nan=False, allow_infinity=False)
skills = st.one_of(
    st.floats(-1.0, 1.5), finite, st.sampled_from((0.0, -0.0, 1.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308))
)
whole = st.integers(0, 2**63 - 1)
texts = st.one_of(
    st.sampled_from(
        ("a", "b", "pca", "", "|", "<b>", "\u2028", "\x85", "\n", "\x1c", "\x00", "**", "é", "=1+1")
    ),
    st.text(max_size=6),
)
names = st.sampled_from(("a", "b", "c")) | texts
arguments = st.dictionaries(
    texts, st.none() | st.booleans() | st.integers(-(2**70), 2**70) | finite | texts, max_size=3
)
checks = st.fixed_dictionaries(
    {
        "value": st.floats(allow_nan=False),
        "relation": st.sampled_from((">=", "<=")),
        "bound": finite,
        "passed": st.booleans(),
    }
)
scores = st.dictionaries(names, finite, max_size=2)
provenances = st.fixed_dictionaries(
    {
        "interp_bench": texts,
        "python": texts,
        "started_at": texts,
        "threads": st.integers(1, 64),
        "torch": texts,
    }
)
fields = st.fixed_dictionaries(
    {
        "key": names,
        "run_id": names,
        "technique": names,
        "track": st.integers(0, 19).flatmap(lambda n: st.sampled_from(("a", "b")) if n else texts),
        "task": names,
        "model": names,
        "seed": st.integers(0, 2),
        "status": st.sampled_from(STATUSES) | st.just("ok"),
        "reason": texts | st.just(SURROGATE),
        "primary": names,
        "technique_version": whole,
        "task_version": whole,
        "model_revision": texts,
        "params": whole | st.integers(0, 10**7),
        "modality": st.sampled_from(("lm", "image")) | texts,
        "kind": texts,
        "provenance": provenances,
    },
    optional={
        "control": st.sampled_from(("", *CONTROLS)),
        "role": st.sampled_from(("technique", "floor", "ceiling")),
        "scores": scores,
        "floor_scores": scores,
        "ceiling_scores": scores,
        "floor_draws": whole,
        "skill": skills,
        "seconds": finite.map(abs),
        "peak_memory_mb": finite.map(abs),
        "forwards": whole,
        "backwards": whole,
        "plant_seconds": finite.map(abs),
        "certificate": st.dictionaries(names, checks, max_size=2),
        "warnings": st.dictionaries(texts, whole, max_size=2),
        "technique_arguments": arguments,
        "dials": arguments,
        "ladder": names,
    },
)
trials = fields.map(lambda given: Trial(**given))
"""Valid trials, with ``skill`` or without whatever their status is, as a foreign file may have them."""

EXAMPLE: dict[str, Any] = json.loads(
    Trial(
        schema_number=SCHEMA, key="k", run_id="r", technique="pca", track="features", task="dictionary",
        model="tiny",
        seed=0, status="ok", primary="mcc", scores={"mcc": 0.5}, floor_scores={"mcc": 0.1}, skill=0.5,
        seconds=0.25,
        technique_version=1, technique_arguments={"k": 3, "rate": 0.1, "name": "x", "on": True},
        task_version=1,
        dials={"n": 4}, model_revision="r1", params=1000, modality="lm", kind="native", ladder="native-ln",
        certificate={"written": {"value": 1.0, "relation": ">=", "bound": 0.5, "passed": True}},
        warnings={"W": 1},
        provenance={"interp_bench": "0", "python": "3", "started_at": "2026-01-02T03:04:05Z"},
    ).model_dump_json()
)  # fmt: skip
