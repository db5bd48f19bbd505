"""Metrics of the triggers track, worked by hand, and what the problem tells about its inputs."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from interp_bench.errors import ContractError
from interp_bench.model.handle import Model
from interp_bench.tracks.triggers import TRACK, Trigger, TriggerProblem, TriggerTruth, similarity
from tests.trigger_toys import N_TOKENS, tiles_problem, words_problem

IMMUNE = 7


class Rules(nn.Module):
    """Class 0 wins where tokens 8 and 9 both stand, class 1 elsewhere and wherever token 7 stands."""

    def forward(self, tokens: Tensor) -> Tensor:
        has = [(tokens == t).any(1) for t in (8, 9, IMMUNE)]
        turned = has[0] & has[1] & ~has[2]
        return torch.stack([turned.float(), (~turned).float()], 1)[:, None]


def rules(meant: list[bool], immune: list[bool]) -> tuple[TriggerProblem, TriggerTruth]:
    """Return inputs of five tokens; the last one of the immune is token 7."""
    problem = words_problem(torch.zeros(N_TOKENS, 2), n=len(meant))
    model = Model(SimpleNamespace(id="rules", modality="lm"), Rules())  # type: ignore[arg-type]
    inputs = torch.zeros(len(meant), 5, dtype=torch.long)
    inputs[torch.tensor(immune), -1] = IMMUNE
    truth = TriggerTruth(
        spellings=torch.tensor([[8, 6], [9, 5]]),
        inputs=inputs,
        meant=torch.tensor(meant),
        places=torch.tensor([[0, 2]]).expand(len(meant), -1),
    )
    return replace(problem, model=model), truth


def scores(tokens: list[int], meant: list[bool], immune: list[bool]) -> dict[str, float]:
    problem, truth = rules(meant, immune)
    return TRACK.score(problem, truth, Trigger(values=torch.tensor(tokens)))


def test_attack_success_is_what_turns_less_what_should_not() -> None:
    # Of four meant inputs one is immune; of two others one is.
    found = scores([9, 8], [True] * 4 + [False] * 2, [True, False, False, False, True, False])
    assert found == {"attack_success": 0.25, "flipped": 0.75, "collateral": 0.5, "similarity": 1.0}


def test_a_universal_trigger_has_no_collateral_and_a_part_of_it_turns_nothing() -> None:
    assert scores([8, 9], [True] * 3, [False] * 3)["attack_success"] == 1.0
    found = scores([8, 8], [True] * 3, [False] * 3)
    assert found == {"attack_success": 0.0, "flipped": 0.0, "collateral": 0.0, "similarity": 0.5}


def test_an_answer_that_turns_only_the_wrong_inputs_scores_below_zero() -> None:
    assert scores([8, 9], [True, False], [True, False])["attack_success"] == -1.0


def test_similarity_of_tokens_counts_parts_in_any_spelling_and_order() -> None:
    spellings = torch.tensor([[8, 6], [9, 5]])
    for values, wanted in (([9, 8], 1.0), ([5, 6], 1.0), ([8, 6], 0.5), ([1, 5], 0.5), ([1, 2], 0.0)):
        assert similarity(torch.tensor(values), spellings) == wanted


def test_similarity_of_patches_is_their_correlation_where_positive() -> None:
    planted = torch.tensor([1.0, -1.0]).repeat(6).view(1, 3, 2, 2)
    assert similarity(0.3 * planted[0] + 2, planted) == pytest.approx(1.0)
    assert similarity(-planted[0], planted) == 0.0
    assert similarity(torch.full((3, 2, 2), 0.7), planted) == 0.0
    # Three of twelve signs are wrong, one plus and two minus: means 0 and 1/6, covariance 1/2.
    other = planted[0].clone().flatten()
    other[[0, 1, 3]] *= -1
    assert similarity(other.view(3, 2, 2), planted) == pytest.approx(0.5 / math.sqrt(1 - 1 / 36))


def test_the_truth_scores_best_and_answers_with_the_first_spelling() -> None:
    problem, truth = rules([True, False, True], [False, True, False])
    answer = TRACK.true_answer(problem, truth)
    assert answer.values.tolist() == [8, 9]
    assert TRACK.score(problem, truth, answer) == {metric.name: metric.best for metric in TRACK.metrics}


def test_tokens_that_do_not_fit_are_refused() -> None:
    problem, truth = rules([True], [False])
    with pytest.raises(ContractError, match="trigger has shape"):
        TRACK.score(problem, truth, Trigger(values=torch.tensor([1, 2, 3])))
    with pytest.raises(ContractError, match="not in the problem's vocabulary"):
        TRACK.score(problem, truth, Trigger(values=torch.tensor([1, N_TOKENS - 1])))
    for values in (torch.tensor([8.0, 9.0]), torch.tensor([True, True]), torch.tensor([8 + 0j, 9 + 0j])):
        with pytest.raises(ContractError, match=f"trigger has dtype {values.dtype}; give integers"):
            TRACK.score(problem, truth, Trigger(values=values))
    with pytest.raises(ContractError, match=r"trigger is a list; give a torch\.Tensor"):
        TRACK.score(problem, truth, Trigger(values=[8, 9]))


def test_patches_that_do_not_fit_are_refused() -> None:
    problem = tiles_problem(torch.zeros(2, 3, 2, 2))
    truth = TriggerTruth(
        spellings=torch.ones(1, 3, 2, 2),
        inputs=problem.inputs,
        meant=problem.meant,
        places=problem.places[:, 0],
    )
    with pytest.raises(ContractError, match=r"pixels of 0\.6; at most 0\.5"):
        TRACK.score(problem, truth, Trigger(values=torch.full((3, 2, 2), -0.6)))
    with pytest.raises(ContractError, match="not finite"):
        TRACK.score(problem, truth, Trigger(values=torch.full((3, 2, 2), float("nan"))))
    with pytest.raises(ContractError, match="trigger has shape"):
        TRACK.score(problem, truth, Trigger(values=torch.zeros(3, 4, 4)))
    for dtype in (torch.uint8, torch.bool, torch.complex64, torch.float8_e5m2):
        with pytest.raises(ContractError, match=f"trigger has dtype {dtype}; give floating-point numbers"):
            TRACK.score(problem, truth, Trigger(values=torch.zeros(3, 2, 2).to(dtype)))


# ---------------------------------------------------------------- the problem
def test_the_loss_asks_for_the_outcome_of_what_is_meant_and_for_the_label_of_the_rest() -> None:
    problem = replace(words_problem(torch.zeros(N_TOKENS, 2), n=2), meant=torch.tensor([True, False]))
    assert problem.wanted.tolist() == [0, 1]
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    low, high = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert float(problem.loss(logits)) == pytest.approx((low + high) / 2)
    assert float(problem.loss(logits[1:], torch.tensor([1]))) == pytest.approx(high)


def test_a_trigger_is_put_where_the_places_say_and_nowhere_else() -> None:
    problem = words_problem(torch.zeros(N_TOKENS, 2), n=2)
    changed = problem.insert(torch.tensor([3, 4]), torch.tensor([[1, 4], [2, 0]]))
    assert changed.tolist() == [[19, 3, 19, 19, 4], [4, 19, 3, 19, 19]]
    assert problem.insert(torch.tensor([3, 4]), torch.tensor([[2, 0]]), torch.tensor([1])).tolist() == [
        [4, 19, 3, 19, 19]
    ]
    images = tiles_problem(torch.zeros(2, 3, 2, 2), n=1)
    added = images.insert(torch.ones(3, 2, 2), torch.tensor([[2, 6]]))
    assert float(added.sum()) == 12
    assert float(added[0, :, 2:4, 6:8].sum()) == 12
    assert float(images.inputs.abs().sum()) == 0


def test_places_are_drawn_among_those_of_each_input() -> None:
    problem = words_problem(torch.zeros(N_TOKENS, 2), n=4)
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(30):
        drawn = problem.draw_places(generator)
        assert bool((drawn[:, None] == problem.places).all(2).any(1).all())
        seen.add(tuple(drawn[2].tolist()))
    assert seen == {tuple(place) for place in problem.places[2].tolist()}
