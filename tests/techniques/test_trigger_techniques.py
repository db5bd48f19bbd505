"""Every trigger technique gives what is known by hand on linear toys, twice alike, and leaves no trace."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from interp_bench.techniques.triggers import guess, patches, search, tokens, trivial
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.triggers import TRACK, Trigger, TriggerProblem
from tests.trigger_toys import N_TOKENS, tiles_problem, words_problem

TECHNIQUES = [t for t in CATALOGUE.techniques.values() if t.track is TRACK]


def says(scale: float = 1.0, seed: int = 0) -> Tensor:
    """Return what each token says of the two classes."""
    return scale * torch.randn(N_TOKENS, 2, generator=torch.Generator().manual_seed(seed))


def tiles(seed: int = 0) -> Tensor:
    return torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def best_tokens(table: Tensor) -> Tensor:
    """Return the allowed tokens, those that speak the most for class 0 first."""
    return (table[:-2, 0] - table[:-2, 1]).argsort(descending=True)


def problem_for(modality: str) -> TriggerProblem:
    if modality == "image":
        return tiles_problem(tiles())
    return replace(words_problem(says()), inputs=torch.arange(30).reshape(6, 5) % (N_TOKENS - 2))


def test_the_floor_and_all_families_are_registered() -> None:
    assert {t.name for t in TECHNIQUES} >= {
        "random", "blank_patch", "frequent_tokens", "random_search", "greedy_search",
        "gradient_sign", "adversarial_patch", "smooth_patch", "hotflip", "greedy_coordinate_gradient",
        "activation_maximisation", "feature_visualisation", "neural_cleanse", "tabor",
        "gradient_guided_beam", "dataset_exemplars", "autoprompt",
    }  # fmt: skip
    assert CATALOGUE.floor_of("triggers").function is guess.random


def test_another_seed_guesses_something_else() -> None:
    for problem in (problem_for("lm"), problem_for("image")):
        drawn = [guess.random(replace(problem, seed=seed)).values for seed in (0, 5)]
        assert not torch.equal(*drawn)


# ---------------------------------------------------------------------- images
def test_the_gradient_of_a_linear_classifier_has_the_signs_of_its_weights() -> None:
    weights = tiles()
    wanted = 0.5 * (weights[0] - weights[1]).sign()
    assert torch.equal(patches.gradient_sign(tiles_problem(weights)).values, wanted)


def test_what_should_stay_pulls_the_other_way() -> None:
    weights = tiles()
    problem = replace(tiles_problem(weights), meant=torch.zeros(4, dtype=torch.bool))
    wanted = 0.5 * (weights[1] - weights[0]).sign()
    assert torch.equal(patches.gradient_sign(problem).values, wanted)


def test_an_adversarial_patch_of_a_linear_classifier_ends_at_the_bound() -> None:
    weights = tiles(1)
    wanted = 0.5 * (weights[0] - weights[1]).sign()
    torch.testing.assert_close(patches.adversarial_patch(tiles_problem(weights)).values, wanted)


def test_adam_takes_the_steps_that_torch_takes() -> None:
    weights, steps = tiles(2), 3
    values = torch.zeros(3, 2, 2, requires_grad=True)
    optimizer = torch.optim.Adam([values], lr=0.1 * 0.5, eps=1e-12)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = (weights * values).flatten(1).sum(1)[None]
        torch.nn.functional.cross_entropy(logits, torch.zeros(1, dtype=torch.long)).backward()
        optimizer.step()
    found = patches.adversarial_patch(tiles_problem(weights), steps=steps).values
    torch.testing.assert_close(found, values.detach(), rtol=1e-4, atol=1e-6)


def test_smoothness_makes_neighbours_alike() -> None:
    problem = tiles_problem(tiles(1))

    def variation(answer: Trigger) -> float:
        return float(answer.values.diff(dim=1).abs().sum() + answer.values.diff(dim=2).abs().sum())

    rough, smooth = (patches.smooth_patch(problem, smoothness=s) for s in (0.0, 30.0))
    assert torch.equal(rough.values, patches.adversarial_patch(problem).values)
    assert variation(smooth) < 0.5 * variation(rough)


def test_a_blank_patch_is_flat_and_as_bright_as_allowed() -> None:
    assert torch.equal(trivial.blank_patch(tiles_problem(tiles())).values, torch.full((3, 2, 2), 0.5))


def test_random_search_keeps_the_best_of_its_tries() -> None:
    weights = tiles(3)
    problem = tiles_problem(weights)
    generator = problem.generator()
    tried = torch.stack([guess.draw(problem, generator) for _ in range(32)])
    lead = (tried * (weights[0] - weights[1])).flatten(1).sum(1)
    assert torch.equal(search.random_search(problem).values, tried[lead.argmax()])


def test_guesses_are_signs_at_the_bound_or_allowed_tokens() -> None:
    assert set(guess.random(tiles_problem(tiles())).values.unique().tolist()) == {-0.5, 0.5}
    drawn = [guess.random(words_problem(says(), seed=s, parts=4)).values for s in range(40)]
    assert set(torch.cat(drawn).tolist()) == set(range(N_TOKENS - 2))


# ---------------------------------------------------------------------- tokens
@pytest.mark.parametrize("technique", [tokens.hotflip, tokens.autoprompt, search.greedy_search])
def test_each_position_gets_the_token_that_speaks_the_most_for_the_outcome(technique) -> None:
    table = says(0.3, seed=4)
    best = int(best_tokens(table)[0])
    assert technique(words_problem(table)).values.tolist() == [best, best]


def test_one_candidate_of_hotflip_is_the_one_that_the_gradient_promises_the_most_of() -> None:
    table = says(0.3, seed=5)
    best = int(best_tokens(table)[0])
    found = tokens.hotflip(words_problem(table), passes=1, candidates=1).values
    assert found.tolist() == [best, best]


def test_the_promise_is_the_first_order_fall_of_the_loss() -> None:
    """By the paper: the gradient times the difference of the embeddings."""
    table = says(1e-3, seed=6).double()
    problem = words_problem(table)
    values = torch.tensor([3, 7])
    promises = tokens.promises_of(problem, values, problem.generator())
    before = search.loss_of(problem, values, problem.generator())
    for position in (0, 1):
        for token in range(N_TOKENS - 2):
            swapped = values.clone()
            swapped[position] = token
            fall = before - search.loss_of(problem, swapped, problem.generator())
            promised = float(promises[position, token] - promises[position, values[position]])
            assert promised == pytest.approx(fall, abs=1e-5)


def test_greedy_coordinate_gradient_swaps_for_the_promising_tokens_only() -> None:
    table = says(0.3, seed=7)
    top = best_tokens(table)[:3]
    problem = words_problem(table)
    found = tokens.greedy_coordinate_gradient(problem, steps=12, top=3).values
    assert bool(torch.isin(found, top).all())
    most = tokens.greedy_coordinate_gradient(problem, steps=12, top=1).values
    assert most.tolist() == [int(top[0])] * 2


def test_frequent_tokens_are_counted_among_those_allowed() -> None:
    problem = words_problem(says(), n=3)
    inputs = torch.tensor([[19, 19, 19, 4, 4], [19, 19, 11, 4, 2], [19, 19, 11, 19, 1]])
    assert trivial.frequent_tokens(replace(problem, inputs=inputs)).values.tolist() == [4, 11]


def test_autoprompt_takes_one_position_a_step() -> None:
    table = says(0.3, seed=8)
    problem = words_problem(table, parts=4)
    start = guess.draw(problem, problem.generator())
    found = tokens.autoprompt(problem, steps=1, candidates=1).values
    assert int((found != start).sum()) <= 1
    assert int((found == best_tokens(table)[0]).sum()) >= 1
