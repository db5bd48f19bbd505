"""Trials that follow a rule, and what a claim makes of them."""

from __future__ import annotations

import math

import numpy as np

from interp_bench.analysis.claims import CLAIMS, findings_of
from tests.simulated import SimulatedTechnique, simulate

BY_NAME = {claim.name: claim for claim in CLAIMS}
TECHNIQUES = [SimulatedTechnique(name=f"technique-{index}") for index in range(6)]
SIZES = [10**5, 10**6, 10**7, 10**8, 10**9]


def found(name, trials, models=()):
    ((claim, finding),) = findings_of(trials, models, claims=[BY_NAME[name]])
    assert claim is BY_NAME[name]
    return finding


def trials_of(rule, models, techniques=TECHNIQUES, **options):
    return simulate(rule, models=models, techniques=techniques, generator=np.random.default_rng(0), **options)


def sloped(slope, start=0.5):
    return lambda technique, task, model: start + slope * math.log10(model.params / 1e7)
