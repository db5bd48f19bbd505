"""Which cliff first, on boards where it is known which models rank like the largest."""

from __future__ import annotations

import numpy as np
import pytest

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.stats import Interval
from interp_bench.analysis.transfer import Predictor, Transfer, transfers_of
from tests.simulated import SimulatedTechnique, ladder, simulate

SIZES = (10_000, 1_000_000, 100_000_000)
COUNT = 24


def board(*, modality="lm", name="rungs", tasks=("planted",), sizes=SIZES):
    """Return trials whose order on the smallest model is drawn anew, and elsewhere is the same."""
    shuffled = np.random.default_rng(5).permutation(COUNT)
    techniques = [SimulatedTechnique(name=f"t{i:02}", seconds=2.0) for i in range(COUNT)]

    def rule(technique, task, model):
        index = int(technique.name[1:])
        place = shuffled[index] if model.params == SIZES[0] else index
        return place / COUNT

    return simulate(
        rule,
        models=ladder(sizes, name=name, modality=modality),
        techniques=techniques,
        tasks=tasks,
        noise=0.05,
        generator=np.random.default_rng(0),
    )


def changed(trials, **changes):
    return [trial.model_copy(update=changes) for trial in trials]


def test_the_model_that_ranks_like_the_largest_predicts_it():
    (found,) = transfers_of(cells_of(board()))
    assert (found.track, found.modality, found.ladder) == ("circuits", "lm", "")
    assert (found.largest, found.params) == ("rungs-100000000", 100_000_000)
    small, middle = found.predictors
    assert small.tau.low < 0.3
    assert small.tau.mean < 0.4
    assert middle.tau.low > 0.7
    assert (middle.techniques, middle.left_out, middle.tasks) == (COUNT, 0, ("planted",))
    # 24 techniques of 2 seconds, one seed each.
    assert middle.seconds == middle.seconds_on_largest == pytest.approx(48.0)
    assert found.cheapest is middle


def test_only_techniques_scored_on_both_at_the_same_tasks_are_ranked():
    trials = [
        t
        for t in board(tasks=("a", "b"))
        if not (t.technique == "t00" and t.task == "b" and t.params == SIZES[2])
    ]
    trials = [t for t in trials if not (t.technique == "t01" and t.params == SIZES[1])]
    (found,) = transfers_of(cells_of(trials))
    small, middle = found.predictors
    assert (small.techniques, small.left_out, small.tasks) == (COUNT - 1, 1, ("a", "b"))
    assert (middle.techniques, middle.left_out) == (COUNT - 2, 1)


def test_seeds_of_the_largest_say_how_much_can_be_reached():
    (found,) = transfers_of(cells_of(board()))
    assert found.retest.n == COUNT
    assert 0.7 < found.retest.low < found.retest.mean < 1
    # Seed 1 turned around ranks the other way round.
    turned = [t.model_copy(update={"skill": 1 - t.skill}) if t.seed == 1 else t for t in board()]
    assert transfers_of(cells_of(turned))[0].retest.high < 0
    assert transfers_of(cells_of([t for t in board() if t.seed == 0]))[0].retest is None


def test_modalities_are_apart_and_language_models_first():
    found = transfers_of(cells_of([*board(modality="image", name="pictures"), *board()]))
    assert [(row.modality, row.largest) for row in found] == [
        ("lm", "rungs-100000000"),
        ("image", "pictures-100000000"),
    ]


def test_a_largest_model_that_hardly_any_technique_reached_is_passed_over():
    trials = [t for t in board() if t.params < SIZES[2] or t.technique in ("t00", "t01", "t02", "t03")]
    (found,) = transfers_of(cells_of(trials))
    assert found.largest == "rungs-1000000"
    assert [row.params for row in found.predictors] == [SIZES[0]]


def test_ladders_are_apart_where_asked_and_models_of_none_left_out():
    trials = [*board(), *board(name="other", sizes=SIZES[1:]), *changed(board(name="none"), ladder="")]
    found = transfers_of(cells_of(trials), by_ladder=True)
    assert [(row.ladder, row.largest, len(row.predictors)) for row in found] == [
        ("other", "other-100000000", 1),
        ("rungs", "rungs-100000000", 2),
    ]


def row(model, seconds, tau):
    return Predictor(
        model=model, params=1, ladder="", tau=tau, tasks=("a",), techniques=9, left_out=0,
        seconds=seconds, seconds_on_largest=9.0,
    )  # fmt: skip


def tau(low, high):
    return Interval(mean=(low + high) / 2, low=low, high=high, n=9)


def test_the_cheapest_is_of_those_that_cannot_be_told_from_the_best():
    rows = (
        row("unsure", 0.1, tau(-0.1, 0.9)),
        row("worse", 0.2, tau(0.1, 0.4)),
        row("good", 3.0, tau(0.3, 0.8)),
        row("best", 5.0, tau(0.5, 0.9)),
        row("none", 0.1, None),
    )
    table = Transfer(track="t", modality="lm", ladder="", largest="l", params=2, retest=None, predictors=rows)
    assert table.cheapest.model == "good"
    nothing = Transfer(
        track="t", modality="lm", ladder="", largest="l", params=2, retest=None, predictors=(rows[0], rows[4])
    )
    assert nothing.cheapest is None


def test_one_model_or_floors_alone_give_no_table():
    assert transfers_of(cells_of(board(sizes=SIZES[:1]))) == ()
    assert transfers_of(cells_of(changed(board(), role="floor"))) == ()
