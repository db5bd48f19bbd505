"""Advice on the command line."""

from __future__ import annotations

import json

import pytest

from interp_bench.board import jsonl

ASKED = ("recommend", "--track", "features", "--modality", "lm", "--trials", "trials", "--params")


@pytest.fixture
def advise(run, make_trial, tmp_path):
    """Return a function that asks for a size, where pca gets worse with size and k_means is level."""
    skills = {"pca": (0.9, 0.7, 0.5), "k_means": (0.6, 0.61, 0.6), "nmf": (0.3, 0.3, 0.3), "neurons": (0.2,)}
    trials = [
        make_trial(technique=name, model=f"m{i}", params=10 ** (4 + i), skill=skill, seed=seed)
        for name, values in skills.items()
        for i, skill in enumerate(values)
        for seed in (0, 1)
    ]
    jsonl.export(trials, tmp_path / "trials")
    return lambda *arguments: run(*ASKED, *arguments)


def first_words(out):
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("---"))
    rows = lines[start + 1 :]
    return [line.split()[0] for line in rows[: rows.index("")]]


def test_techniques_come_best_first_with_bounds_cost_and_evidence(advise):
    ran = advise("100k")
    assert ran.status == 0
    assert ran.out.startswith("features on a language model of 100k parameters\n")
    assert first_words(ran.out) == ["pca", "k_means", "nmf", "neurons"]
    line = next(line for line in ran.out.splitlines() if line.startswith("k_means"))
    assert "0.60" in line
    assert "0.50 s" in line
    assert "6 trials, 3 places, 3 models of 10k to 1m" in line
    assert line.endswith("within")
    alone = next(line for line in ran.out.splitlines() if line.startswith("neurons"))
    assert "?" in alone
    assert "2 trials, 1 place, 1 model of 10k" in alone
    assert "10x larger" in alone
    assert "left out: " in ran.out
    assert "never scored there" in ran.out


def test_it_says_plainly_when_it_extrapolates(advise):
    ran = advise("1.3e9")
    assert "EXTRAPOLATED: in 4 of 4 rows" in ran.out
    assert ran.out.count("1,300x larger") == 3
    assert first_words(ran.out)[0] == "k_means"
    assert "EXTRAPOLATED" not in advise("10k", "--top", "3").out


def test_budget_access_and_top_leave_out(advise):
    assert "over the budget" in advise("1.3b", "--budget", "10min").out
    out = advise("100k", "--budget", "10min", "--access", "activations", "--top", "1").out
    assert out.startswith(
        "features on a language model of 100k parameters, at most 10.0 min a call, access up to activations\n"
    )
    assert len(first_words(out)) == 1
    assert "more: --top" in out


def test_nothing_to_recommend_is_status_one(advise):
    ran = advise("100k", "--budget", "1ms")
    assert ran.status == 1
    assert "no technique is known to do this" in ran.out


def test_json_holds_the_same(advise):
    ran = advise("1e9", "--json", "--top", "2")
    found = json.loads(ran.out)
    assert [row["technique"] for row in found["techniques"]] == ["k_means", "nmf"]
    assert found["more"] == 2
    best = found["techniques"][0]
    assert best["extrapolates"]
    assert best["beyond"] == pytest.approx(1000)
    assert (best["models"], best["places"], best["trials"]) == (3, 3, 6)
    assert best["skill_low"] <= best["skill"] <= best["skill_high"]
    assert found["budget_seconds"] is None
    everything = json.loads(advise("1e9", "--json").out)
    # One model gives no bound of cost, which JSON writes as null.
    assert everything["techniques"][-1]["technique"] == "neurons"
    assert everything["techniques"][-1]["seconds_high"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("big",), "'big' is no number of parameters"),
        (("1b", "--budget", "10"), "'10' is no time"),
        (("1b", "--access", "gradient"), "did you mean 'gradients'?"),
        (("1b", "--track", "circuit"), "no track is called 'circuit' (did you mean 'circuits'?)"),
        (("1b", "--track", "zzz"), "there are attribution, "),
        (("1b", "--top", "0"), "no whole number"),
        (("1b", "--trials", "nowhere"), "there are no trials"),
    ],
)
def test_mistakes_are_one_line(advise, arguments, message):
    ran = advise(*arguments)
    assert ran.status == 4
    assert message in ran.err
    assert ran.err.count("\n") == 1
