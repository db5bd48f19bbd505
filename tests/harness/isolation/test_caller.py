"""Techniques called in workers: the same answers, no side effects, and a word on each that ends early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interp_bench.harness.isolation.staff import Nursery
from interp_bench.harness.problems import Stages
from tests.isolated.lab import Lab


@pytest.fixture
def lab(fakes: ModuleType, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(fakes, tmp_path)
    yield made
    made.close()


READ = """
with torch.no_grad():
    problem.model(torch.zeros(1, 2))
return Guess(numbers=problem.model.module[0].weight.detach().diagonal())
"""


def test_a_worker_answers_as_this_process_does(lab: Lab) -> None:
    name = lab.write(READ)
    trials = [lab.runner(isolate).run(lab.cell(name)).trial for isolate in ("none", "fresh", "warm")]
    assert [trial.status for trial in trials] == ["ok"] * 3
    assert [trial.skill for trial in trials] == [1.0] * 3
    assert trials[0].scores == trials[1].scores == trials[2].scores
    assert [trial.forwards for trial in trials] == [1] * 3


# The score tells the process, and a trial that is fine is the only one whose worker could stay.
WHO = "return Guess(numbers=torch.full((4,), float(os.getpid())))"


def test_a_fresh_worker_for_each_trial_and_a_warm_one_for_each_source(lab: Lab) -> None:
    names = [lab.write(WHO), lab.write(WHO)]
    order = (names[0], names[0], names[1], names[0])
    seen = {}
    for isolate in ("fresh", "warm"):
        runner = lab.runner(isolate)
        trials = [runner.run(lab.cell(name)).trial for name in order]
        assert [trial.status for trial in trials] == ["ok"] * 4
        seen[isolate] = [trial.scores["error"] for trial in trials]
    assert len(set(seen["fresh"])) == 4
    first, again, other, after = seen["warm"]
    assert first == again
    assert len({first, other, after}) == 3


def test_a_crash_takes_nothing_else_with_it(lab: Lab) -> None:
    runner = lab.runner()
    crashing, good = lab.write("ctypes.string_at(0)"), lab.write(READ)
    outcomes = [runner.run(lab.cell(name)) for name in (good, crashing, good)]
    assert [outcome.trial.status for outcome in outcomes] == ["ok", "crashed", "ok"]
    assert outcomes[1].trial.reason == "its process was ended by SIGSEGV (invalid memory access)"
    assert "ctypes.string_at(0)" not in outcomes[1].trace
    assert "stranger_1" in outcomes[1].trace  # where it was, by faulthandler
    assert outcomes[0].trial.scores == outcomes[2].trial.scores


def test_a_problem_goes_to_one_keeper_while_guesses_are_scored(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    keeper, calibrate = Nursery.keeper, Stages._calibrate

    def noted_keeper(*arguments: Any, **named: Any) -> Any:
        order.append("keeper")
        return keeper(*arguments, **named)

    def noted_guesses(*arguments: Any) -> Any:
        order.append("guesses")
        return calibrate(*arguments)

    name = lab.write(READ)
    runner = lab.runner()
    monkeypatch.setattr(Nursery, "keeper", noted_keeper)
    monkeypatch.setattr(Stages, "_calibrate", noted_guesses)
    assert runner.run(lab.cell(name)).trial.skill == 1.0
    assert order == ["keeper", "guesses"]
