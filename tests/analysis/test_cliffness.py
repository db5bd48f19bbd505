"""Difficulty of models on simulated boards: order, groups that cannot be compared, what is left out."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.special import expit

from interp_bench.analysis.cells import cells_of
from interp_bench.analysis.cliffness import cliffness_of
from tests.simulated import SimulatedTechnique, ladder, simulate

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
ABILITIES = {"able": 1.5, "middling": 0.0, "weak": -1.5}


def board(*, modality="lm", names=tuple(ABILITIES), track="circuits", noise=0.02):
    """Return cells where difficulty rises by one logit a decade, and by one more for the hard task."""

    def rule(technique, task, model):
        difficulty = np.log10(model.params) - 5.5 + (task == "hard") - 0.5
        return float(expit(ABILITIES[technique.name.split("-")[0]] - difficulty))

    return simulate(
        rule,
        models=ladder(SIZES, name=modality, modality=modality),
        techniques=[SimulatedTechnique(name=name, track=track) for name in names],
        tasks=("easy", "hard"),
        noise=noise,
        generator=np.random.default_rng(0),
    )


def test_models_are_graded_by_their_difficulty_and_techniques_by_ability():
    (scale,) = cliffness_of(cells_of(board()))
    assert [grade.params for grade in scale.grades] == sorted(SIZES, reverse=True)
    assert [row.technique for row in scale.abilities] == ["able", "middling", "weak"]
    for grade in scale.grades:
        truth = np.log10(grade.params) - 5.5
        assert grade.difficulty.mean == pytest.approx(truth, abs=0.1)
        assert grade.difficulty.contains(truth)
        assert grade.tasks == ("easy", "hard")
        assert grade.difficulty.n == 3
    for row in scale.abilities:
        assert row.ability.contains(ABILITIES[row.technique])
        assert (row.places, row.ability.n) == (8, 4)
    assert scale.cells == 24
    assert scale.explained > 0.98


def test_expected_skill_is_the_mean_over_all_techniques_also_where_some_were_not_tried():
    whole = board()
    (scale,) = cliffness_of(cells_of(whole))
    (sparse,) = cliffness_of(cells_of([t for t in whole if t.technique != "weak" or t.params < 10**7]))
    for grades in (scale.grades, sparse.grades):
        truth = [expit(a - np.array([0.5, 1.5]) - 0.5).mean() for a in ABILITIES.values()]
        assert grades[0].params == 10**7
        assert grades[0].expected.mean == pytest.approx(np.mean(truth), abs=0.02)
        assert grades[0].expected.contains(np.mean(truth))
    assert sparse.grades[0].difficulty.n == 2


def test_a_model_that_only_got_the_easy_task_is_graded_as_if_it_got_both():
    whole = board()
    (scale,) = cliffness_of(cells_of(whole))
    (gap,) = cliffness_of(cells_of([t for t in whole if t.task == "easy" or t.params > 10**4]))
    full, without = scale.grades[-1], gap.grades[-1]
    assert full.params == without.params == 10**4
    assert (full.tasks, without.tasks) == (("easy", "hard"), ("easy",))
    assert without.difficulty.mean == pytest.approx(4 - 5.5, abs=0.15)
    assert without.difficulty.contains(4 - 5.5)
    # Without gaps a grade is the mean of the places.
    places = [row.difficulty.mean for row in scale.difficulties if row.model == full.model]
    assert full.difficulty.mean == pytest.approx(np.mean(places))
    assert full.expected.mean == pytest.approx(
        np.mean([row.expected.mean for row in scale.difficulties if row.model == full.model])
    )


def test_what_shares_no_cell_has_a_scale_of_its_own():
    cells = [*board(names=("able", "weak")), *board(modality="image", names=("able-seeing", "weak-seeing"))]
    cells += board(track="concepts", names=("middling",))
    lm, image, other = cliffness_of(cells_of(cells))
    assert (lm.track, image.track, other.track) == ("circuits", "circuits", "concepts")
    assert {row.technique for row in lm.abilities} & {row.technique for row in image.abilities} == set()
    assert {len(scale.abilities) for scale in (lm, image)} == {2}
    # One technique is no sample: there is a difficulty, without bounds.
    assert not other.grades[0].difficulty.bounded
    assert other.abilities[0].ability.mean == pytest.approx(0.0, abs=1e-9)


def test_one_technique_of_both_joins_them():
    cells = [*board(names=("able", "weak")), *board(modality="image", names=("able", "weak-seeing"))]
    (scale,) = cliffness_of(cells_of(cells))
    assert {grade.modality for grade in scale.grades} == {"lm", "image"}


def test_floors_and_cells_without_a_skill_are_left_out_and_failures_count_as_nought(make_trial):
    trials = [make_trial(model=m, technique=t, skill=0.5) for m in "ab" for t in ("pca", "ica")]
    trials += [make_trial(technique="random", role="floor", skill=0.0)]
    trials += [make_trial(model=m, technique="nmf", status="skipped", reason="no") for m in "ab"]
    trials += [make_trial(model="c", technique=t, status="failed", reason="no") for t in ("pca", "ica")]
    (scale,) = cliffness_of(cells_of(trials))
    assert [row.technique for row in scale.abilities] == ["ica", "pca"]
    assert [grade.model for grade in scale.grades] == ["c", "a", "b"]
    assert scale.cells == 6


def test_order_of_cells_does_not_matter():
    cells = cells_of(board())
    assert cliffness_of(cells) == cliffness_of(cells[::-1])


def test_no_cells_no_scales():
    assert cliffness_of([]) == ()


def test_a_board_of_the_size_of_the_real_one_takes_less_than_seconds(make_trial):
    generator = np.random.default_rng(0)
    names = [f"t{i}" for i in range(100)]
    models = ladder([10_000 * (i + 1) for i in range(50)])
    trials = simulate(
        lambda technique, task, model: float(generator.random()),
        models=models,
        techniques=[SimulatedTechnique(name=name) for name in names],
        tasks=("a", "b", "c", "d"),
        seeds=1,
        generator=generator,
    )
    cells = cells_of(trials)
    begun = time.process_time()
    (scale,) = cliffness_of(cells)
    assert time.process_time() - begun < 4.0
    assert scale.cells == 20_000
