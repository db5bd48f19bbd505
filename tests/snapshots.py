"""Snapshots made by hand, one of each kind of content, for tests of what is drawn."""

from __future__ import annotations

import json
from typing import Any

from interp_bench.harness.snapshots.stored import Snapshot

CONTENTS: dict[str, dict[str, Any]] = {
    "pixels": {
        "examples": [
            {
                "image": ["000fff888", "fff000888"],
                "corner": [0, 1],
                "planted": ["##", ".#"],
                "saliency": ["0f0", "001"],
                "peaks": [[0, 1]],
            }
        ]
    },
    "tokens": {
        "examples": [
            {"tokens": [5, 6, 7], "planted": ".#.", "saliency": "00ff80"},
            {"tokens": [5, 6, 7], "planted": ".#.", "saliency": "ffff00"},
        ]
    },
    "circuit": {
        "columns": [["input"], ["a0.h0", "a0.h1"], ["m0"], ["logits"]],
        "edges": [
            {"source": "input", "destination": "a0.h0", "port": "q", "planted": True, "found": True},
            {"source": "a0.h0", "destination": "logits", "planted": True, "found": False},
            {"source": "a0.h1", "destination": "m0", "planted": False, "found": True},
        ],
        "n_edges": 12,
        "tied": 4,
    },
    "cosines": {"matched": [0.9, 0.1], "shown": [0, 1], "matrix": ["e600", "001a"], "n_directions": 3},
    "subspace": {
        "sites": [{"name": "early", "planted": 0}, {"name": "late", "planted": 2}],
        "chosen": "late",
        "cosines": [1.0],
        "n_directions": 1,
        "width": 8,
    },
    "patch": {"planted": ["fff000", "000fff"], "found": ["fff888", "000000"]},
    "phrase": {"planted": [[4, 5], [6, 7]], "found": [6, 9]},
}


def stored(kind: str = "tokens", **changes: Any) -> dict[str, Any]:
    return {
        "schema_number": 1,
        "track": "attribution",
        "technique": "saliency",
        "technique_version": 1,
        "task": "token_evidence",
        "task_version": 2,
        "model": "native-30k",
        "modality": "lm",
        "seed": 0,
        "metric": "average_precision",
        "score": 0.5,
        "skill": 0.432,
        "content": {"kind": kind, **CONTENTS[kind]},
        **changes,
    }


def snapshot(kind: str = "tokens", **changes: Any) -> Snapshot:
    return Snapshot.model_validate_json(json.dumps(stored(kind, **changes)))
