"""Pairs of trials, and what a lost and a found skill count for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interp_bench.analysis.pairing import Pair, seeds_of, status_changes_of

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


@pytest.mark.parametrize("status", ["failed", "timed_out", "out_of_memory", "crashed"])
def test_what_fails_counts_as_the_floor_and_is_never_a_gain(make_trial: MakeTrial, status: str) -> None:
    good, bad = make_trial(skill=0.6), make_trial(skill=-0.3)
    failing = make_trial(status=status, reason="x")
    lost = Pair(old=good, new=failing)
    assert (lost.lost, lost.found, lost.difference) == (True, False, pytest.approx(-0.6))
    found = Pair(old=failing, new=good)
    assert (found.lost, found.found, found.difference) == (False, True, pytest.approx(0.6))
    assert Pair(old=bad, new=failing).difference == 0.0
    assert Pair(old=failing, new=bad).difference == 0.0
    assert Pair(old=failing, new=failing).difference == 0.0


@pytest.mark.parametrize("status", ["skipped", "invalid"])
def test_what_says_nothing_has_no_difference_and_is_not_lost(make_trial: MakeTrial, status: str) -> None:
    silent = make_trial(status=status, reason="x")
    for other in (make_trial(), make_trial(status="failed", reason="x"), silent):
        for pair in (Pair(old=other, new=silent), Pair(old=silent, new=other)):
            assert (pair.difference, pair.lost, pair.found) == (None, False, False)


def test_the_difference_is_new_minus_old(make_trial: MakeTrial) -> None:
    assert Pair(old=make_trial(skill=0.5), new=make_trial(skill=0.7)).difference == pytest.approx(0.2)
    assert Pair(old=make_trial(skill=0.5), new=make_trial(skill=-0.7)).difference == pytest.approx(-1.2)


def test_trials_are_paired_by_technique_task_model_and_seed(make_trial: MakeTrial) -> None:
    old = [make_trial(seed=seed) for seed in (2, 0, 1)]
    new = [make_trial(seed=seed, skill=0.9) for seed in (1, 2, 3)]
    new.append(make_trial(seed=0, technique="ica"))
    new.append(make_trial(seed=0, control="unplanted", skill=0.0))
    grouped = seeds_of(old, new)
    pca, ica = (
        ("features/pca", "features/dictionary", "tiny"),
        ("features/ica", "features/dictionary", "tiny"),
    )
    assert list(grouped) == [ica, pca]
    assert [pair.new.seed for pair in grouped[pca].pairs] == [1, 2]
    assert grouped[ica].pairs == ()
    assert (set(grouped[pca].old), set(grouped[pca].new)) == ({0, 1, 2}, {1, 2, 3})


def test_the_newer_of_two_trials_counts(make_trial: MakeTrial) -> None:
    later = make_trial(skill=0.9, key="other", provenance={"started_at": "2027-01-01T00:00:00Z"})
    (seeds,) = seeds_of([later, make_trial(skill=0.1)], [make_trial(skill=0.5)]).values()
    assert seeds.pairs[0].old.skill == 0.9


def test_status_changes_are_grouped_by_kind_of_reason_lost_skills_first(make_trial: MakeTrial) -> None:
    def pair(seed: int, before: dict, now: dict) -> Pair:
        return Pair(old=make_trial(seed=seed, **before), new=make_trial(seed=seed, **now))

    slow = {"status": "timed_out", "reason": "took longer than 60 s"}
    slower = {"status": "timed_out", "reason": "took longer than 61 s"}
    broken = {"status": "failed", "reason": "ValueError: no luck"}
    pairs = [
        pair(0, broken, {}),
        pair(1, broken, {}),
        pair(2, broken, {}),
        pair(3, {}, slower),
        pair(4, {}, slow),
        pair(5, {}, broken),
        pair(6, {}, {"status": "skipped", "reason": "no weights"}),
        pair(7, {}, {}),
        pair(8, broken, broken),
    ]
    changes = status_changes_of(pairs)
    assert [(c.before, c.now, len(c.pairs), c.reason) for c in changes] == [
        ("ok", "timed_out", 2, "took longer than 60 s"),
        ("ok", "failed", 1, "ValueError: no luck"),
        ("ok", "skipped", 1, "no weights"),
        ("failed", "ok", 3, "ValueError: no luck"),
    ]
    assert [p.new.seed for p in changes[0].pairs] == [3, 4]
    assert {(c.track, c.technique) for c in changes} == {("features", "pca")}
