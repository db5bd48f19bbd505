"""How often claims are wrongly decided where nothing is there, and rightly where something is.

Every board has techniques with slopes of their own, models that are easy or hard for all techniques alike,
series with levels of their own, and missing cells. The rates are shares of 1,000 boards or more.
"""

from __future__ import annotations

import numpy as np
import pytest

from interp_bench.analysis.claims.capability_window import two_lines
from interp_bench.analysis.claims.crossed import Bounds, regress
from interp_bench.analysis.claims.first_cliff import agreement
from interp_bench.analysis.claims.image_or_lm import mean_difference
from interp_bench.analysis.claims.size_or_capability import balance, standardised
from interp_bench.analysis.stats import Interval
from interp_bench.analysis.transfer import Predictor, Transfer
from tests.crossed_boards import draw, layout

NATIVE = [4.65, 5.19, 5.94, 6.69]
LLAMA = [6.78, 7.53, 8.0, 8.65, 9.16]
OTHERS = ([5.3, 6.1, 6.8, 7.5], [6.7, 7.3, 8.0], [8.1, 8.5, 9.0])
LADDERS = {"one": [NATIVE], "two": [NATIVE, LLAMA], "five": [NATIVE, LLAMA, *OTHERS]}

ALLOWED = 0.05
BOARDS = 2_000


def decided(bounds: Bounds) -> float:
    return float(np.mean((bounds.low > 0) | (bounds.high < 0)))


def supported(bounds: Bounds) -> float:
    return float(np.mean(bounds.low > 0))


def slopes(ladders, seed=0, boards=BOARDS, **effects):
    generator = np.random.default_rng(seed)
    board = layout(LADDERS[ladders], generator)
    return regress(board.grid, draw(board, boards, generator, **effects), board.design, board.ladder)


@pytest.mark.parametrize("ladders", LADDERS)
@pytest.mark.parametrize(
    "effects",
    [{}, {"of_technique": 0.0}, {"of_model": 0.0}, {"of_technique": 0.1, "of_model": 0.01}],
    ids=["both", "models alone", "techniques alone", "mostly techniques"],
)
def test_no_slope_is_seldom_taken_for_one(ladders, effects):
    # With one ladder and nothing but models to err by, the interval is exact and the rate is 0.05.
    boards = 10_000 if ladders == "one" else 2_000
    assert decided(slopes(ladders, boards=boards, **effects).bounds(1.0)) <= ALLOWED


@pytest.mark.parametrize("ladders", LADDERS)
def test_what_works_or_not_is_seldom_taken_for_a_slope_either(ladders):
    generator = np.random.default_rng(2)
    board = layout(LADDERS[ladders], generator)
    works = (draw(board, BOARDS, generator) > 0).astype(float)
    assert decided(regress(board.grid, works, board.design, board.ladder).bounds(1.0)) <= ALLOWED


def test_a_truth_that_no_technique_changes_errs_by_its_models_alone():
    generator = np.random.default_rng(4)
    board = layout([np.linspace(6, 9, 8)], generator, techniques=1, tasks=2, missing=0.0)
    design = np.column_stack([board.x, generator.standard_normal(8)])
    fit = regress(board.grid, draw(board, 10_000, generator, of_technique=0.0), design, board.ladder)
    assert decided(fit.bounds(1.0, 0.0)) == pytest.approx(ALLOWED, abs=0.005)


def test_over_five_ladders_with_slopes_of_their_own_too():
    assert decided(slopes("five", of_ladder=0.05, of_model=0.02).bounds(1.0)) <= ALLOWED


def test_one_ladder_says_nothing_of_others_and_two_say_little():
    # Hence the reservation that findings on one ladder or two are given with.
    assert decided(slopes("two", of_ladder=0.05).bounds(1.0)) <= 2 * ALLOWED
    assert decided(slopes("one", of_ladder=0.05).bounds(1.0)) > 2 * ALLOWED


def test_a_cluster_sandwich_over_techniques_alone_would_find_slopes_everywhere():
    fit = slopes("five")
    error = np.sqrt(fit.techniques[:, 0, 0])
    assert np.mean(np.abs(fit.coefficients[:, 0]) > 2.05 * error) > 0.5


@pytest.mark.parametrize(
    ("ladders", "slope", "power"), [("one", 0.2, 0.7), ("two", 0.2, 0.6), ("five", 0.1, 0.9)]
)
def test_a_slope_is_found_in_its_own_direction(ladders, slope, power):
    up, down = (slopes(ladders, slope=sign * slope).bounds(1.0) for sign in (1, -1))
    assert supported(up) >= power
    assert supported(-down) >= power
    assert max(np.mean(up.high < 0), np.mean(down.low > 0)) <= 0.001


# ------------------------------------------------------------------------------------- window and balance


def capable(ladders, rungs, generator, techniques=20):
    """Return a board of models of one metric, with their capability, which grows with size."""
    sizes = np.sort(generator.uniform(6.5, 9, (ladders, rungs)))
    better = 0.02 * generator.standard_normal((ladders, 1)) + 0.01 * generator.standard_normal(sizes.shape)
    capability = (0.7 + 0.06 * (sizes - 6.5) + better).ravel()
    board = layout([sizes.ravel()], generator, techniques=techniques, tasks=1)
    return board, capability, np.repeat(np.arange(ladders), rungs)


def boards_of(board, ease, boards, generator, ladder=None, of_ladder=0.0):
    values = draw(board, boards, generator, of_technique=0.0)
    if ladder is not None:
        values += (of_ladder * generator.standard_normal((boards, ladder.max() + 1)))[:, ladder][
            :, board.grid.model
        ]
    return values + ease[board.grid.model]


def windows(shape, boards, seed=0):
    """Return the shares of boards in which a window is supported, and in which it is not there."""
    generator = np.random.default_rng(seed)
    board, capability, ladder = capable(6, 4, generator)
    z = (capability - capability.mean()) / capability.std()
    values = boards_of(board, shape(z), boards, generator, ladder, of_ladder=0.03)
    bounds = two_lines(board.grid, values, 10 * capability, ladder).effect
    return np.mean(bounds.low > 0), np.mean(bounds.high < 0)


@pytest.mark.parametrize(
    "shape",
    [lambda z: 0.1 * z, lambda z: -0.1 * z, lambda z: 0.2 * np.minimum(z, 0)],
    ids=["rising", "falling", "saturating"],
)
def test_no_window_is_seen_where_there_is_none(shape):
    assert windows(shape, 1_000)[0] <= ALLOWED


def test_a_flat_course_is_seldom_decided_either_way():
    assert sum(windows(lambda z: 0 * z, 1_000)) <= ALLOWED


def test_a_window_is_found_and_its_contrary_refuted():
    assert windows(lambda z: -0.6 * np.abs(z), 1_000)[0] >= 0.7
    assert windows(lambda z: 0.6 * np.abs(z), 1_000)[1] >= 0.7


@pytest.mark.parametrize(
    ("of_capability", "of_size"), [(0, 0), (0.05, 0.05), (0.05, -0.05)], ids=["neither", "both", "contrary"]
)
def test_size_and_capability_that_matter_alike_are_not_told_apart(of_capability, of_size):
    bounds = balances(of_capability, of_size)
    assert decided(bounds) <= ALLOWED


def balances(of_capability, of_size):
    generator = np.random.default_rng(3)
    board, capability, ladder = capable(6, 4, generator)
    design = standardised(np.column_stack([capability, board.x]), board.grid)
    ease = design @ np.array([of_capability, of_size])
    values = boards_of(board, ease, BOARDS, generator, ladder, of_ladder=0.03)
    return balance(regress(board.grid, values, design, ladder))


def test_what_matters_alone_is_found():
    assert supported(balances(0.4, 0.0)) >= 0.9
    assert supported(-balances(0.0, 0.4)) >= 0.9


# -------------------------------------------------------------------------------------------------- pairs


def pairs(image, lm, *, mean=0.0, of_technique=0.1, of_pair=0.05, of_ladder=0.05, techniques=30):
    generator = np.random.default_rng(5)
    image, lm, normal = np.array(image), np.array(lm), generator.standard_normal
    kept = np.flatnonzero(generator.random(techniques * len(image)) >= 0.2)
    technique, pair = kept // len(image), kept % len(image)
    ladders = sum(normal((BOARDS, int(side.max()) + 1))[:, side] for side in (image, lm))
    values = (
        mean
        + of_technique * normal((BOARDS, techniques))[:, technique]
        + (of_pair * normal((BOARDS, len(image))) + of_ladder * ladders)[:, pair]
        + 0.05 * normal((BOARDS, len(kept)))
    )
    return mean_difference(values, technique, pair, image, lm)[0]


@pytest.mark.parametrize(
    "effects",
    [{}, {"of_technique": 0.0}, {"of_pair": 0.0, "of_ladder": 0.0}, {"of_ladder": 0.2, "of_pair": 0.0}],
    ids=["all", "no techniques", "techniques alone", "mostly ladders"],
)
@pytest.mark.parametrize(
    ("image", "lm"),
    [([0, 0, 1, 1], [0, 1, 0, 1]), ([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1])],
    ids=["2 x 2", "3 x 2"],
)
def test_no_difference_of_modalities_is_seldom_taken_for_one(image, lm, effects):
    assert decided(pairs(image, lm, **effects)) <= ALLOWED


def test_a_difference_of_modalities_is_found_in_its_own_direction():
    six = [0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2]
    assert supported(pairs(*six, mean=0.4)) >= 0.9
    assert supported(-pairs(*six, mean=-0.4)) >= 0.9


# ----------------------------------------------------------------------------------------------- rankings


def agreements(correlation, boards=1_000, tracks=5, predictors=3, techniques=20):
    """Return the mean tau of boards whose rankings agree as normal variates of a correlation do."""
    generator = np.random.default_rng(9)
    normal = generator.standard_normal
    largest = normal((boards, tracks, 1, techniques))
    small = correlation * largest + np.sqrt(1 - correlation**2) * normal(
        (boards, tracks, predictors, techniques)
    )
    signs = [np.sign(side[..., :, None] - side[..., None, :]) for side in (largest, small)]
    taus = (signs[0] * signs[1]).sum(axis=(-1, -2)) / (techniques * (techniques - 1))
    return [agreement([_table(f"track-{index}", row) for index, row in enumerate(board)]) for board in taus]


def _table(track, taus):
    return Transfer(
        track=track,
        modality="lm",
        ladder="",
        largest="large",
        params=10**9,
        retest=None,
        predictors=tuple(
            Predictor(
                model=f"small-{index}",
                params=10**6,
                ladder="",
                tau=Interval(mean=float(tau), low=-1.0, high=1.0, n=20),
                tasks=("task",),
                techniques=20,
                left_out=0,
                seconds=1.0,
                seconds_on_largest=10.0,
            )
            for index, tau in enumerate(taus)
        ),
    )


def test_rankings_that_agree_as_much_as_the_bound_are_seldom_decided():
    # tau of normal variates is 2 / pi * arcsin(correlation): 0.5 for a correlation of sin(pi / 4)
    found = agreements(np.sin(np.pi / 4))
    assert np.mean([interval.mean for interval in found]) == pytest.approx(0.5, abs=0.01)
    assert np.mean([not interval.contains(0.5) for interval in found]) <= ALLOWED


def test_rankings_that_agree_more_or_less_are_found():
    assert np.mean([interval.low > 0.5 for interval in agreements(0.95)]) >= 0.9
    assert np.mean([interval.high < 0.5 for interval in agreements(0.3)]) >= 0.9
