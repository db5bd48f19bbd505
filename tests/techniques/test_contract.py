"""Every technique of the package passes the contract suite that it ships to authors."""

from __future__ import annotations

from pathlib import Path

import interp_bench
from interp_bench.harness.discovery import load_installed
from interp_bench.testing import Check, parametrize_with_checks
from interp_bench.testing.questions import questions_for
from interp_bench.tracks.catalogue import CATALOGUE, Technique

PACKAGE = Path(interp_bench.__file__).parent

load_installed()
TECHNIQUES = [t for t in CATALOGUE.techniques.values() if t.origin.is_relative_to(PACKAGE)]

FEW: dict[str, dict[str, float]] = {
    "attribution": {"n_samples": 32, "n_masks": 16, "n_steps": 4, "n_superpixels": 9, "windows": 4},
    "circuits": {"steps": 5, "n_pairs": 1},
    "concepts": {"steps": 5, "sites": 1, "tries": 2, "n_pairs": 64, "rounds": 2, "max_steps": 40},
    "features": {"max_steps": 40, "expansion": 1.0, "iterations": 2, "points": 1.0},
    "triggers": {"steps": 5, "tries": 2, "passes": 1, "candidates": 8, "inputs": 2},
}
"""By track, arguments that say how long a technique searches."""

CHEAP = {
    t.id: {name: few for name, few in FEW[t.track.name].items() if name in t.arguments} for t in TECHNIQUES
}
CHEAP["circuits/acdc"] |= {"threshold": 0.1}  # whatever is kept is tried again
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


def test_no_technique_goes_without_a_question() -> None:
    """One that fits no example problem would have every check skipped."""
    assert [t.id for t in TECHNIQUES if not questions_for(t)] == []
