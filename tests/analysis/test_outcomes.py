"""Reasons are grouped, failing ones first."""

from __future__ import annotations

from interp_bench.analysis.outcomes import outcomes_of


def test_reasons_that_differ_in_numbers_and_model_are_one_group(make_trial):
    trials = [make_trial()]
    trials += [
        make_trial(
            model=model, seed=seed, status="invalid", reason=f"{model}: sufficiency 0.{seed}3 (bound >= 0.95)"
        )
        for model in ("vit-2", "vit-3")
        for seed in range(2)
    ]
    (outcome,) = outcomes_of(trials)
    assert outcome.trials == 4
    assert outcome.reason == "vit-2: sufficiency 0.03 (bound >= 0.95)"
    assert outcome.models == ("vit-2", "vit-3")
    assert not outcome.failing


def test_failing_ones_come_first_then_the_frequent_ones(make_trial):
    trials = [make_trial(seed=seed, status="skipped", reason="no weights") for seed in range(3)]
    trials += [make_trial(seed=seed + 3, status="invalid", reason="loose") for seed in range(2)]
    trials += [
        make_trial(technique="b", status="timed_out", reason="slow"),
        make_trial(status="crashed", reason="x"),
    ]
    trials += [make_trial(seed=9, status="crashed", reason="x")]
    found = [(outcome.status, outcome.trials) for outcome in outcomes_of(trials)]
    assert found == [("crashed", 2), ("timed_out", 1), ("skipped", 3), ("invalid", 2)]


def test_tracks_are_kept_apart(make_trial):
    trials = [make_trial(track=track, status="failed", reason="x") for track in ("features", "concepts")]
    assert [outcome.track for outcome in outcomes_of(trials)] == ["concepts", "features"]
