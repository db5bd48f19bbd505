"""A run with known shape: four tracks, seven models, three seeds, drawn from a fixed generator."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest

from interp_bench.harness.trial import CheckNumbers, Trial

MODELS = (
    ("native-30k", "lm", "native", "native-ln", 31_232),
    ("native-450k", "lm", "native", "native-ln", 452_608),
    ("native-5m", "lm", "native", "native-ln", 5_130_752),
    ("smollm2-135m", "lm", "llama", "smollm2", 134_515_008),
    ("resnet-6k", "image", "resnet", "tiny-resnet", 6_404),
    ("resnet18", "image", "resnet", "resnet", 11_689_512),
    ("vit-tiny", "image", "vit", "vit", 5_717_416),
)


@dataclass(frozen=True)
class Gear:
    name: str
    strength: float
    slope: float
    seconds: float
    forwards: int = 8
    backwards: int = 0
    role: str = "technique"


TRUTH = Gear("ceiling", 1.0, 0.0, 0.0, 0, 0, "ceiling")
GUESS = Gear("random", 0.0, 0.0, 0.0006, 0, 0, "floor")
TRACKS = {
    "features": (
        "dictionary",
        "mcc",
        (
            Gear("topk_autoencoder", 0.93, 0.05, 2.31),
            Gear("fast_ica", 0.81, 0.12, 0.4),
            Gear("pca", 0.33, 0.02, 0.03),
        ),
    ),
    "concepts": (
        "labelled_variable",
        "interchange",
        (
            Gear("das", 0.96, 0.03, 9.2, 120, 110),
            Gear("logistic_probe", 0.7, 0.08, 0.2),
            Gear("mean_difference", 0.62, 0.07, 0.011),
        ),
    ),
    "circuits": (
        "planted_program",
        "average_precision",
        (
            Gear("activation_patching", 0.97, 0.01, 14.0, 940),
            Gear("eap_integrated_gradients", 0.72, 0.1, 1.9, 6, 5),
            Gear("eap", 0.61, 0.14, 0.3, 2, 1),
        ),
    ),
    "attribution": (
        "planted_evidence",
        "average_precision",
        (
            Gear("occlusion", 0.88, 0.03, 3.0, 196),
            Gear("integrated_gradients", 0.71, 0.06, 0.9, 1, 32),
            Gear("saliency", 0.42, 0.05, 0.06, 1, 1),
        ),
    ),
}


@pytest.fixture
def board(make_trial) -> list[Trial]:
    """Return all trials of the run, in a shuffled order."""
    return board_of(make_trial)


def board_of(make_trial) -> list[Trial]:
    """Return the same where fixtures of a test are not at hand."""
    draw = random.Random(0)
    trials = [
        _trial(make_trial, draw, track, task, primary, gear, model, seed)
        for track, (task, primary, gears) in TRACKS.items()
        for gear in (TRUTH, *gears, GUESS)
        for model in MODELS
        if track != "circuits" or model[2] != "resnet"
        for seed in range(3)
    ]
    draw.shuffle(trials)
    return trials


def _trial(make_trial, draw, track, task, primary, gear, model, seed):
    name, modality, kind, ladder, params = model
    skill = 1.0 if gear.role == "ceiling" else gear.strength + draw.gauss(0.0, 0.03)
    skill -= gear.slope * max(0.0, math.log10(params) - 5.0)
    check = {"relation": ">=", "bound": 0.95, "passed": True}
    fields = {
        "track": track, "task": task, "primary": primary, "technique": gear.name, "role": gear.role,
        "model": name, "modality": modality, "kind": kind, "ladder": ladder, "params": params, "seed": seed,
        "seconds": gear.seconds * (params / 1e6) ** 0.2, "forwards": gear.forwards,
        "backwards": gear.backwards, "peak_memory_mb": 12.5,
        "technique_arguments": {"steps": 32} if gear.backwards > 1 else {},
        "certificate": {
            "sufficiency": CheckNumbers(value=0.96 + 0.01 * seed, **check),
            "necessity[a]": CheckNumbers(value=0.99, **check),
            "necessity[b]": CheckNumbers(value=0.951, **check),
        },
        "skill": skill, "scores": {primary: skill},
    }  # fmt: skip
    if gear.name == "das" and name == "smollm2-135m":
        fields |= {"status": "timed_out", "reason": "took longer than 60 s"}
    if gear.name == "fast_ica" and name == "vit-tiny" and seed == 1:
        fields |= {"status": "failed", "reason": "ValueError: array must not contain infs | or NaNs"}
    if track == "circuits" and name == "vit-tiny" and seed == 2:
        failed = {"sufficiency": CheckNumbers(value=0.62, relation=">=", bound=0.95, passed=False)}
        fields |= {"status": "invalid", "reason": "sufficiency 0.62 (bound >= 0.95)", "certificate": failed}
    if fields.get("status", "ok") != "ok":
        fields |= {"skill": None, "scores": {}}
    return make_trial(**fields)
