"""Synthesised and copied triggers give what is known by hand on linear toys."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from interp_bench.errors import Inapplicable
from interp_bench.techniques.triggers import beam, exemplars, masks, visualisation
from interp_bench.techniques.triggers.masks import Masked
from interp_bench.tracks.triggers import TriggerProblem
from tests.trigger_toys import N_TOKENS, tiles_problem, words_problem


def says(seed: int, scale: float = 0.3) -> Tensor:
    """Return what each token says of the two classes."""
    return scale * torch.randn(N_TOKENS, 2, generator=torch.Generator().manual_seed(seed))


def tiles(seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def turned(problem: TriggerProblem, values: Tensor) -> float:
    """Return the share of inputs given to the wanted class."""
    logits = problem.class_logits(problem.model(problem.insert(values, problem.places[:, 0])))
    return float((logits.argmax(1) == problem.wanted).double().mean())


# ---------------------------------------------------------------------- visualisation
def test_the_activation_of_a_linear_unit_is_maximal_along_its_weights() -> None:
    weights = tiles(0)
    found = visualisation.activation_maximisation(tiles_problem(weights)).values
    wanted = 0.5 * weights[0] / weights[0].abs().max()  # the other class has no say
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=0)


def test_frequencies_weigh_one_over_their_distance_from_zero() -> None:
    weights = visualisation.frequency_weights(4)
    assert weights.shape == (4, 3)
    # Cycles a pixel: 0 (taken for a quarter), a quarter, a half; and both along a diagonal.
    expected = {(0, 0): 4, (0, 1): 4, (0, 2): 2, (1, 1): 4 / math.sqrt(2), (2, 2): 2 / math.sqrt(2)}
    for place, value in expected.items():
        assert float(weights[place]) == pytest.approx(value)
    assert torch.equal(weights[1], weights[3])  # the same frequency, the other way


def test_a_visualised_linear_unit_ends_at_the_signs_of_its_weights() -> None:
    weights = tiles(1)
    found = visualisation.feature_visualisation(tiles_problem(weights), steps=200, rate=0.5).values
    torch.testing.assert_close(found, 0.5 * weights[0].sign(), atol=0.02, rtol=0)


def test_jitter_shifts_patches_within_the_image() -> None:
    problem = tiles_problem(tiles(0), n=4)
    corners = torch.tensor([[0, 0], [6, 6], [3, 3], [0, 6]])
    drawn = torch.stack(
        [visualisation._shifted(problem, corners, 1, torch.Generator().manual_seed(s)) for s in range(60)]
    )
    assert torch.equal(drawn.amin(0), torch.tensor([[0, 0], [5, 5], [2, 2], [0, 5]]))
    assert torch.equal(drawn.amax(0), torch.tensor([[1, 1], [6, 6], [4, 4], [1, 6]]))


# ---------------------------------------------------------------------- mask and pattern
def test_a_costly_mask_is_smaller_and_still_works() -> None:
    problem = tiles_problem(tiles(2, scale=20.0))
    free, costly = (masks.neural_cleanse(problem, cost=c, steps=120).values for c in (0.0, 1.0))
    assert turned(problem, free) == turned(problem, costly) == 1.0
    assert float(costly.abs().sum()) < 0.25 * float(free.abs().sum())


def test_the_weight_of_the_mask_doubles_and_falls_as_in_the_authors_code() -> None:
    weight = masks._Weight(1.0, 2)
    for works, expected in ((True, 1), (False, 1), (True, 1), (True, 2), (False, 2), (False, 2**-0.5)):
        weight.heed(works)
        assert weight.value == pytest.approx(expected)


@pytest.mark.parametrize("technique", [masks.neural_cleanse, masks.tabor])
def test_a_pattern_has_the_signs_that_turn_a_linear_classifier(technique) -> None:
    weights = tiles(3)
    found = technique(tiles_problem(weights)).values
    assert torch.equal(found.sign(), (weights[0] - weights[1]).sign())
    assert float(found.abs().max()) <= 0.5


def test_penalties_of_tabor_are_those_worked_out_by_hand() -> None:
    assert float(masks.elastic(torch.tensor([1.0, -2.0]))) == 3 + 5
    # Down: 9 and 0; across: 1 and 4.
    assert float(masks.roughness(torch.tensor([[[0.0, 1.0], [3.0, 1.0]]]))) == 14
    weights = tiles(4)
    problem = replace(tiles_problem(weights), inputs=torch.ones(4, 3, 8, 8))
    whole = Masked(mask=torch.ones(1, 2, 2), pattern=0.25 * torch.ones(3, 2, 2))
    places = torch.zeros(4, 2, dtype=torch.long)
    # Alone on black: the pattern times what speaks for the outcome.
    lead = float((weights[0] - weights[1]).sum())
    assert float(masks._alone(problem, whole, places)) == pytest.approx(math.log1p(math.exp(-0.25 * lead)))
    # Of 16 tiles of ones one is blanked; what is left speaks for class 1 by -lead.
    assert float(masks._blocked(problem, whole, places)) == pytest.approx(
        math.log1p(math.exp(15 * lead)), rel=1e-4, abs=1e-6
    )


# ---------------------------------------------------------------------- tokens
@pytest.mark.parametrize("given", [{}, {"beam": 1, "candidates": 1}])
def test_a_beam_ends_at_the_token_that_speaks_the_most_for_the_outcome(given: dict[str, int]) -> None:
    table = says(4)
    best = int((table[:-2, 0] - table[:-2, 1]).argmax())
    assert beam.gradient_guided_beam(words_problem(table), **given).values.tolist() == [best, best]


def test_a_beam_tries_its_own_trigger_and_candidates_of_each_kept_one(monkeypatch) -> None:
    tried: list[tuple[int, ...]] = []

    def loss_of(problem, values, *_):
        tried.append(tuple(values.tolist()))
        return float(len(tried))

    monkeypatch.setattr(beam, "loss_of", loss_of)
    beam.gradient_guided_beam(words_problem(says(5)), beam=2, candidates=3, passes=1)
    first, second = tried[:4], tried[4:]
    assert len({values[1] for values in first}) == 1  # one start, whose first token alone is swapped
    assert {values[0] for values in second} == {values[0] for values in first[:2]}  # the two best go on
    assert len(second) in (7, 8)  # two and three candidates of each, of which one may be its own


def test_an_exemplar_is_the_run_of_allowed_tokens_that_turns_the_most() -> None:
    table = torch.zeros(N_TOKENS, 2)
    table[3, 0], table[4, 0], table[18, 0], table[7, 1] = 2.0, 1.0, 9.0, 5.0
    inputs = torch.tensor([[0, 3, 4, 18, 0], [18, 18, 3, 0, 0], [7, 0, 1, 2, 5], [0, 0, 0, 0, 0]])
    problem = replace(words_problem(table, n=4), inputs=inputs)
    # (3, 18) and (4, 18) would speak more, but 18 is not allowed.
    assert exemplars.dataset_exemplars(problem).values.tolist() == [3, 4]
    # The second input has the largest logit: 2 x 9 + 2.
    assert exemplars.dataset_exemplars(problem, inputs=1).values.tolist() == [3, 0]
    with pytest.raises(Inapplicable, match="no piece of the inputs"):
        exemplars.dataset_exemplars(words_problem(table))


def test_an_exemplar_of_images_is_the_crop_that_speaks_the_most_for_the_outcome() -> None:
    weights = tiles(6)
    inputs = 0.2 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    problem = replace(tiles_problem(weights), inputs=inputs)
    logits = problem.model(inputs)[:, 0]
    every = [inputs[int(logits.argmax()), :, r : r + 2, c : c + 2] for r in range(7) for c in range(7)]
    lead = torch.stack([(crop.clamp(-0.5, 0.5) * (weights[0] - weights[1])).sum() for crop in every])
    found = exemplars.dataset_exemplars(problem, inputs=1, crops=49).values
    torch.testing.assert_close(found, every[int(lead.argmax())].clamp(-0.5, 0.5))
