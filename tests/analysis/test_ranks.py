"""Ranks over complete rows and their ties, by hand."""

from __future__ import annotations

import pytest

from interp_bench.analysis.blocks import Missing
from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.ranks import rankings_of


@pytest.fixture
def ranked(make_trial):
    """Return the rankings from the skill of each technique on models a, b, c, ... (None: not scored)."""

    def ranked(**skills):
        trials = [
            make_trial(technique=technique, model=model, skill=skill)
            for technique, values in skills.items()
            for model, skill in zip("abcdefgh", values, strict=False)
            if skill is not None
        ]
        return rankings_of(cells_of(trials))

    return ranked


def ranks(ranking):
    return {row.technique: (row.rank, row.tied) for row in ranking.rows}


def test_techniques_that_are_always_apart_have_ranks_of_their_own(ranked):
    (found,) = ranked(low=[0.1, 0.2, 0.31], high=[0.7, 0.8, 0.9], middle=[0.4, 0.5, 0.61])
    assert ranks(found) == {"high": (1, 1), "middle": (2, 1), "low": (3, 1)}
    assert [row.technique for row in found.rows] == ["high", "middle", "low"]
    assert found.rows[0].skill.mean == pytest.approx(0.8)
    assert (found.track, found.modality, found.models, found.share) == ("features", "lm", 3, 1.0)


def test_a_technique_shares_the_rank_of_the_leader_that_it_cannot_be_told_from(ranked):
    # first - second: 0.2, -0.2, 0.1, the sign changes; first - third: 0.5, 0.49, 0.51.
    (found,) = ranked(first=[0.8, 0.6, 0.9], second=[0.6, 0.8, 0.8], third=[0.3, 0.11, 0.39])
    assert ranks(found) == {"first": (1, 2), "second": (1, 2), "third": (3, 1)}


def test_holm_counts_the_techniques_that_the_leader_is_compared_with(ranked):
    # Differences 0.1, 0.2, 0.3: t = 0.2 / (0.1 / sqrt 3) = 3.46, p = 0.074 on 2 degrees: tied.
    # Differences 0.15, 0.2, 0.25: t = 6.93, p = 0.020: apart alone, but not as one of three.
    best, other = [0.9, 0.9, 0.9], [0.75, 0.7, 0.65]
    assert ranks(ranked(best=best, other=[0.8, 0.7, 0.6])[0])["other"] == (1, 2)
    assert ranks(ranked(best=best, other=other)[0])["other"] == (2, 1)
    three = ranked(best=best, other=other, another=other, third=other)
    assert ranks(three[0])["other"] == (1, 4)


def test_a_noisy_technique_below_one_that_is_apart_does_not_rise_above_it(ranked):
    # noisy cannot be told from best, but it stands below steady, which can.
    (found,) = ranked(best=[0.9, 0.9, 0.9], steady=[0.8, 0.8, 0.8], noisy=[0.9, 0.9, 0.3])
    assert ranks(found) == {"best": (1, 1), "steady": (2, 2), "noisy": (2, 2)}


def test_equal_techniques_are_tied_without_a_test_and_so_is_all_on_one_model(ranked):
    (found,) = ranked(a=[0.5, 0.6], b=[0.5, 0.6])
    assert ranks(found) == {"a": (1, 2), "b": (1, 2)}
    (single,) = ranked(a=[0.9], b=[0.1])
    assert ranks(single) == {"a": (1, 2), "b": (1, 2)}


def test_gaps_are_left_out_and_named(ranked):
    (found,) = ranked(a=[0.9, 0.9, 0.9], b=[0.1, 0.2, 0.1], c=[0.5, 0.5, None], d=[0.3, 0.2, 0.3])
    assert set(ranks(found)) == {"a", "b", "d"}
    assert found.left_out == (Missing(technique="c", places=1),)
    assert found.places == (("dictionary", "a"), ("dictionary", "b"), ("dictionary", "c"))
    assert (found.share, found.passed_over) == (0.75, 0)


def test_tracks_and_modalities_are_apart_and_floors_have_no_rank(make_trial):
    trials = [
        make_trial(),
        make_trial(model="net", modality="image"),
        make_trial(track="circuits"),
        make_trial(technique="random", role="floor", skill=0.0),
        make_trial(technique="nmf", status="skipped", reason="no"),
    ]
    found = rankings_of(cells_of(trials))
    assert [(row.track, row.modality) for row in found] == [
        ("circuits", "lm"), ("features", "lm"), ("features", "image"),
    ]  # fmt: skip
    assert [len(row.rows) for row in found] == [1, 1, 1]


def test_several_tasks_of_one_model_are_one_draw(make_trial):
    trials = [
        make_trial(technique=technique, task=task, model=model, skill=skill)
        for model in "ab"
        for task in ("x", "y", "z")
        for technique, skill in (("a", 0.9 if model == "a" else 0.6), ("b", 0.5))
    ]
    # Six places would tell 0.4 and 0.1 apart; two models, t = 0.25 / 0.15 on one degree, do not.
    (found,) = rankings_of(cells_of(trials))
    assert ranks(found) == {"a": (1, 2), "b": (1, 2)}
