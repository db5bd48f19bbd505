"""Advice on boards where it is known what is best, what it costs and who is out of the question."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from interp_bench.analysis.access import ACCESS
from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.recommend import Abilities, Wanted, recommend
from interp_bench.tracks.catalogue import Access
from tests.simulated import SimulatedTechnique, ladder, simulate

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
SLOPES = {"falling": -0.2, "level": 0.0, "rising": 0.2}
WANTED = Wanted(track="circuits", modality="lm", params=1_000_000)


def board(*, names=tuple(SLOPES), modality="lm", noise=0.01):
    """Return trials of techniques that are alike at 10^5.5 parameters and part from there on."""
    trials = simulate(
        lambda technique, task, model: 0.5 + SLOPES[technique.name] * (np.log10(model.params) - 5.5),
        models=ladder(SIZES, name=modality, modality=modality),
        techniques=[SimulatedTechnique(name=name) for name in names],
        tasks=("x", "y"),
        noise=noise,
        generator=np.random.default_rng(0),
    )
    # Ten times as many parameters take twice as long, and 10,000 of them a second.
    return [t.model_copy(update={"seconds": 2.0 ** (np.log10(t.params) - 4)}) for t in trials]


def known(**access):
    return [Abilities(technique=name, access=deepest) for name, deepest in access.items()]


ALL = known(falling="gradients", level="forward", rising="weights")


def advised(wanted=WANTED, trials=None, abilities=ALL):
    return recommend(cells_of(board() if trials is None else trials), abilities, wanted)


def changed(**changes):
    fields = {name: getattr(WANTED, name) for name in ("track", "modality", "params", "seconds", "access")}
    return Wanted(**fields | changes)


def test_techniques_come_by_what_is_predicted_at_the_size():
    found = advised()
    assert [row.technique for row in found.rows] == ["rising", "level", "falling"]
    best = found.rows[0]
    assert best.skill.mean == pytest.approx(0.6, abs=0.02)
    assert 0.55 < best.skill.low < 0.6 < best.skill.high < 0.65
    assert (best.places, best.trials, best.skill.n) == (8, 24, 4)
    assert (best.smallest, best.largest, best.access) == (10_000, 10_000_000, "weights")
    assert not best.extrapolates
    assert best.seconds.mean == pytest.approx(4.0)
    assert found.left_out == ()
    assert [row.technique for row in advised(changed(params=20_000)).rows] == ["falling", "level", "rising"]


def test_past_the_largest_it_says_how_far_and_clips():
    found = advised(changed(params=10**10))
    assert [row.skill.mean for row in found.rows] == pytest.approx([1.0, 0.5, 0.0], abs=0.03)
    assert all(0 <= row.skill.low <= row.skill.mean <= row.skill.high <= 1 for row in found.rows)
    assert {row.beyond for row in found.rows} == {1000.0}
    # The line says 64 s, but past the largest time grows at least with size: 8 s times 1,000.
    assert found.rows[0].seconds.mean == pytest.approx(8000.0)
    (small, *_) = advised(changed(params=100)).rows
    assert (small.beyond, small.extrapolates) == (0.01, True)


def test_access_budget_size_and_modality_leave_out_with_their_reason():
    assert {out.technique: out.reason for out in advised(changed(access="gradients")).left_out} == {
        "rising": "with access to weights"
    }
    assert [row.technique for row in advised(changed(access="forward")).rows] == ["level"]
    assert advised(changed(access="activations")).rows == ()
    assert len(advised(changed(seconds=4.1)).rows) == 3
    assert {out.reason for out in advised(changed(seconds=3.9)).left_out} == {"over the budget"}
    abilities = [
        Abilities(technique="falling", access="forward", max_params=999_999),
        Abilities(technique="level", access="forward", min_params=2_000_000),
        Abilities(technique="rising", access="forward", modalities=("image",)),
        Abilities(technique="unheard", access="forward"),
    ]
    assert [(out.technique, out.reason) for out in advised(abilities=abilities).left_out] == [
        ("level", "meant for larger models"),
        ("falling", "meant for smaller models"),
        ("unheard", "never scored there"),
        ("rising", "not for lm models"),
    ]


def test_other_modalities_tracks_and_floors_are_no_evidence():
    seen = board(modality="image")
    other = [t.model_copy(update={"track": "concepts"}) for t in board()]
    floors = [t.model_copy(update={"role": "floor"}) for t in board()]
    assert advised(trials=[*seen, *other, *floors]).rows == ()


def test_fewer_than_three_models_come_last_and_have_no_bounds():
    trials = [t for t in board() if t.technique != "rising" or t.params > 10**6 - 1]
    found = advised(trials=trials)
    assert [row.technique for row in found.rows] == ["level", "falling", "rising"]
    last = found.rows[-1]
    assert (last.skill.low, last.skill.high, last.skill.n, last.drawn) == (0.0, 1.0, 2, False)
    assert last.skill.mean == pytest.approx(0.7, abs=0.02)


def test_a_missing_task_does_not_bend_the_line(make_trial):
    # y is 0.4 harder than x everywhere, and was not asked of the largest.
    skills = {("x", 10**4): 0.9, ("y", 10**4): 0.5, ("x", 10**5): 0.9, ("y", 10**5): 0.5, ("x", 10**6): 0.9}
    trials = [
        make_trial(track="circuits", task=task, model=f"m{size}", params=size, skill=skill)
        for (task, size), skill in skills.items()
    ]
    (row,) = advised(trials=trials, abilities=known(pca="forward")).rows
    assert row.skill.mean == pytest.approx(0.7)


def test_failures_count_as_nought_and_their_time_is_no_cost(make_trial):
    trials = [
        make_trial(track="circuits", model=f"m{size}", params=size, status="failed", reason="no", seconds=9.0)
        for size in SIZES
    ]
    (row,) = advised(trials=trials, abilities=known(pca="forward")).rows
    assert row.skill.mean == 0.0
    assert row.seconds is None
    (out,) = advised(changed(seconds=1.0), trials=trials, abilities=known(pca="forward")).left_out
    assert out.reason.startswith("of unknown cost")


def test_seconds_are_those_of_the_device_of_most_trials():
    trials = board()
    fast = trials[0].provenance.model_copy(update={"device": "NVIDIA"})
    few = [t.model_copy(update={"provenance": fast, "seconds": 1e-3}) for t in trials if t.seed == 0]
    found = advised(trials=[*(t for t in trials if t.seed), *few])
    assert found.device == "cpu"
    assert found.rows[0].seconds.mean == pytest.approx(4.0)


def test_levels_of_access_are_those_that_techniques_declare():
    assert get_args(Access) == ACCESS
