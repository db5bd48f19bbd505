"""Every technique of the package passes the contract suite that it ships to authors."""

from __future__ import annotations

from pathlib import Path

import interp_bench
from interp_bench.harness.discovery import load_installed
from interp_bench.testing import Check, parametrize_with_checks
from interp_bench.tracks.catalogue import CATALOGUE, Technique

PACKAGE = Path(interp_bench.__file__).parent

load_installed()
TECHNIQUES = [t for t in CATALOGUE.techniques.values() if t.origin.is_relative_to(PACKAGE)]

FEW = {"max_steps": 40, "steps": 5}
CHEAP = {t.id: {name: few for name, few in FEW.items() if name in t.arguments} for t in TECHNIQUES}
CHEAP |= {
    t.id: {**CHEAP[t.id], "n_pairs": 1}
    for t in TECHNIQUES
    if t.track.name == "circuits" and "n_pairs" in t.arguments
}
"""Arguments of dear techniques: the contract does not hang on how long they search."""

ROTATION = ("residual_rotation",)
INVARIANT = {
    "attribution/occlusion": ROTATION,
    "circuits/eap": ROTATION,
    "concepts/mean_difference": ROTATION,
    "features/pca": ROTATION,
    "triggers/hotflip": ROTATION,
}
"""One of each track; tests/planting/test_rotation.py has all of them."""

_FINDS_WHEN_ASKED = "whether a vision model has the place that it reads is known only when it is asked"
_READS_BY_PATCH = "reads patterns by a patch that puts back what was there"
EXPECTED = {
    "attribution/attention_rollout": {"check_uses_the_access_it_declares": _READS_BY_PATCH},
    "concepts/logit_lens": {"check_answers_on_every_modality": _FINDS_WHEN_ASKED},
    "features/transcoder": {"check_answers_on_every_modality": _FINDS_WHEN_ASKED},
}


@parametrize_with_checks(TECHNIQUES, expected_failures=EXPECTED, arguments=CHEAP, invariances=INVARIANT)
def test_contract(technique: Technique, check: Check) -> None:
    check(technique)
