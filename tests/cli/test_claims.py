"""``interp-bench claims``: what it prints, and what models.yaml tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp_bench.analysis.claims import CLAIMS
from interp_bench.board import jsonl
from interp_bench.cli.claims import model_facts
from tests.claim_trials import SIZES, sloped, trials_of
from tests.simulated import ladder


@pytest.fixture
def trials(tmp_path: Path) -> Path:
    folder = tmp_path / "trials"
    jsonl.export(trials_of(sloped(0.1), ladder(SIZES)), folder)
    return folder


def test_all_claims_are_printed(run, trials):
    ran = run("claims", "--trials", str(trials))
    assert (ran.status, ran.err) == (0, "")
    assert all(claim.name in ran.out for claim in CLAIMS)


def test_claims_are_chosen_by_name_in_their_own_order(run, trials):
    ran = run("claims", "larger-lms-worse", "larger-lms-better", "--trials", str(trials), "--json")
    records = json.loads(ran.out)
    assert ran.status == 0
    assert [(record["name"], record["verdict"]) for record in records] == [
        ("larger-lms-better", "supported"),
        ("larger-lms-worse", "against"),
    ]


def test_a_claim_that_there_is_not_is_one_line(run, trials):
    ran = run("claims", "larger-lm-better", "--trials", str(trials))
    assert (ran.status, ran.out) == (4, "")
    assert "no claim 'larger-lm-better' (did you mean 'larger-lms-better'?)" in ran.err
    assert ran.err.count("\n") == 1


def test_without_trials_it_says_how_to_get_some(run, tmp_path):
    ran = run("claims", "--trials", str(tmp_path / "none"))
    assert (ran.status, ran.out) == (4, "")
    assert "interp-bench export" in ran.err


def test_what_models_yaml_tells():
    facts = {one.id: one for one in model_facts()}
    assert (facts["native-30k"].trained, facts["native-30k"].width, facts["native-30k"].capability) == (
        False,
        32,
        None,
    )
    pythia = facts["pythia-70m"]
    assert (pythia.trained, pythia.capability, pythia.axis, pythia.width) == (True, 0.1846, "size", 512)
    assert pythia.metric.startswith("LAMBADA")
    step = facts["smollm2-1.7b-step-250k"]
    assert (step.axis, step.steps) == ("training", 250_000)
    assert facts["resnet18-in1k"].width is None
