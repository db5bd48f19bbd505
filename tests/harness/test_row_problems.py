"""What a row sees is its own copy of the problem, and what it shares with others is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from interp_bench.harness.guards import ContentState, borrowed_generators

if TYPE_CHECKING:
    from tests.harness.conftest import Bench


def test_each_row_has_a_copy_of_the_problem_of_its_own(bench: Bench) -> None:
    def changing(problem: Any) -> Any:
        object.__setattr__(problem, "seed", 99)
        return bench.fakes.Guess(numbers=torch.full((4,), 0.5))

    before = bench.run("reader").trial
    assert bench.run_function(changing).trial.status == "ok"
    assert bench.run("reader").trial.scores == before.scores


def test_changed_fields_of_a_shared_problem_are_seen(bench: Bench) -> None:
    with borrowed_generators(0):  # making the network draws from torch's
        problem = bench.fakes.plant(bench.models.open(bench.models.get("small"), "cpu"), 0).problem
    state = ContentState(problem.model.module, problem)
    assert state.breaches() == []
    object.__setattr__(problem, "seed", 99)
    [breach] = state.breaches()
    assert breach.message == "changed fields of the problem ('seed'); copy it with dataclasses.replace"
    assert breach.spoilt
