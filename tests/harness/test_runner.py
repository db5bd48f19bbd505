"""The runner plants once, calibrates, scores, and turns whatever happens into a status with a reason."""

from __future__ import annotations

import dataclasses
import time
import warnings
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch

from interp_bench.errors import Inapplicable, PlantingError, UnavailableError
from interp_bench.harness.attending import Attended
from interp_bench.harness.calling import Here
from interp_bench.harness.grid import Cell
from interp_bench.harness.runner import Runner
from interp_bench.harness.trial import skill_of

if TYPE_CHECKING:
    from tests.harness.conftest import Bench


def test_ceiling_is_1_and_floor_is_the_mean_of_its_draws(bench: Bench) -> None:
    cells = bench.cells("reader")
    trials = {name: bench.runner.run(cell).trial for name, cell in cells.items()}
    assert trials["ceiling"].skill == 1.0
    assert trials["ceiling"].role == "ceiling"
    assert trials["random"].role == "floor"
    floor, ceiling = trials["random"].floor_scores, trials["random"].ceiling_scores
    assert ceiling == {"closeness": 1.0, "error": 0.0}
    assert trials["random"].floor_draws == 16
    assert 0.5 < floor["closeness"] < 0.8
    assert floor["closeness"] == pytest.approx(1 - floor["error"])
    assert trials["random"].floor_spread["closeness"] > 0
    score = trials["random"].scores["closeness"]
    assert trials["random"].skill == skill_of(score, floor["closeness"], 1.0)


def test_the_floor_row_draws_what_no_floor_draw_drew(bench: Bench) -> None:
    seeds = []

    def guessing(problem: Any) -> Any:
        seeds.append(problem.seed)
        return bench.fakes.Guess(numbers=torch.rand(4, generator=problem.generator()))

    cells = bench.cells("reader")
    floor = dataclasses.replace(cells["random"].floor, function=guessing)
    row = dataclasses.replace(cells["random"].row, technique=floor)
    bench.runner.run(dataclasses.replace(cells["random"], row=row, floor=floor))
    assert len(seeds) == len(set(seeds)) == 17


def test_guessing_averages_to_skill_0(bench: Bench) -> None:
    cell = bench.cells("reader", seeds=(0,))["random"]
    skills = [bench.runner.run(dataclasses.replace(cell, seed=seed)).trial.skill for seed in range(60)]
    mean = sum(skills) / len(skills)
    spread = (sum((skill - mean) ** 2 for skill in skills) / 59) ** 0.5
    assert abs(mean) < 4 * spread / 60**0.5
    assert spread > 0.05


def test_guesses_differ_between_models(bench: Bench) -> None:
    cell = bench.cells("reader")["random"]
    other = dataclasses.replace(cell, spec=bench.models.get("large"))
    assert bench.runner.run(cell).trial.scores != bench.runner.run(other).trial.scores


def test_a_problem_is_planted_once_and_a_model_opened_once(bench: Bench) -> None:
    planted = []

    def counted(model: Any, seed: int) -> Any:
        planted.append(seed)
        assert float(model.module[0].weight.abs().sum()) == 0.0, "the weights are not pristine"
        return bench.fakes.plant(model, seed)

    grid = bench.fakes.grid("reader", "half", tasks=(bench.task(counted),), seeds=(0, 1, 2))
    trials = [bench.runner.run(cell).trial for cell in grid.cells]
    assert [trial.status for trial in trials] == ["ok"] * 12
    assert planted == [0, 1, 2]
    assert bench.models.opened == ["small"]


def test_a_model_is_opened_again_when_it_is_too_large_to_copy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=8))
    for seed in (0, 1):
        assert bench.run("reader", seeds=(seed,)).trial.skill == 1.0
    assert bench.models.opened == ["small", "small"]


def test_a_model_is_opened_again_when_a_task_rebuilt_it(bench: Bench) -> None:
    def rebuilding(model: Any, seed: int) -> Any:
        planted = bench.fakes.plant(model, seed)
        model.module.register_parameter("extra", torch.nn.Parameter(torch.ones(1), requires_grad=False))
        return planted

    task = bench.task(rebuilding)
    for seed in (0, 1):
        assert bench.run("reader", tasks=(task,), seeds=(seed,)).trial.skill == 1.0
    assert bench.models.opened == ["small", "small"]


def test_a_result_does_not_depend_on_what_ran_before(bench: Bench) -> None:
    alone = bench.new_runner().run(bench.cells("half", seeds=(1,))["half"]).trial
    bench.run("reader", seeds=(0,))
    after = bench.run("half", seeds=(1,)).trial
    assert after.scores == alone.scores
    assert after.floor_scores == alone.floor_scores


def test_a_failed_certificate_is_invalid_and_keeps_its_numbers(bench: Bench) -> None:
    def unproven(model: Any, seed: int) -> Any:
        return bench.fakes.plant(model, seed, passed=False)

    task = bench.task(unproven)
    for name, cell in bench.cells("reader", tasks=(task,)).items():
        trial = bench.runner.run(cell).trial
        assert trial.status == "invalid", name
        assert trial.reason == "not certified: written 0 (bound >= 0.5)"
        assert trial.scores == {}
        assert trial.skill is None
        assert trial.certificate["written"].passed is False


def test_what_cannot_be_planted_is_invalid(bench: Bench) -> None:
    def cramped(model: Any, seed: int) -> Any:
        raise PlantingError("needs width 64, the model has 4")

    outcome = bench.run("reader", tasks=(bench.task(cramped),))
    assert outcome.trial.status == "invalid"
    assert outcome.trial.reason == "needs width 64, the model has 4"
    assert outcome.error is None


def test_a_crash_of_a_task_fails_its_trials_by_name(bench: Bench) -> None:
    def clumsy(model: Any, seed: int) -> Any:
        raise IndexError("out of range")

    outcome = bench.run("reader", tasks=(bench.task(clumsy),))
    assert outcome.trial.status == "failed"
    assert outcome.trial.reason == "task guessing/clumsy: IndexError: out of range"
    assert isinstance(outcome.error, IndexError)


def _graded_by(cell: Cell, grade: Any) -> Cell:
    track = dataclasses.replace(cell.task.track, grade=grade)
    return dataclasses.replace(cell, task=dataclasses.replace(cell.task, track=track))


@pytest.mark.parametrize(
    ("truth_scores", "reason"),
    [
        (0.5, "nothing to measure: guessing scores 0.5"),
        (0.4, "guessing scores 0.5 on closeness, better than"),
    ],
)
def test_a_problem_without_room_above_guessing_is_invalid(
    bench: Bench, truth_scores: float, reason: str
) -> None:
    def grade(problem: Any, truth: Any, answer: Any) -> dict[str, float]:
        own = torch.equal(answer.numbers, truth.numbers)
        return {"closeness": truth_scores if own else 0.5, "error": 0.0}

    cell = bench.cells("reader")["reader"]
    trial = bench.runner.run(_graded_by(cell, grade)).trial
    assert trial.status == "invalid"
    assert trial.reason.startswith(reason)


def test_grading_that_does_not_repeat_itself_fails_the_ceiling_row(bench: Bench) -> None:
    calls = []

    def grade(problem: Any, truth: Any, answer: Any) -> dict[str, float]:
        calls.append(1)
        return {"closeness": 1.0 - 0.01 * len(calls), "error": 0.0}

    cell = bench.cells("reader")["ceiling"]
    trial = bench.runner.run(_graded_by(cell, grade)).trial
    assert trial.status == "failed"
    assert "the ceiling of track guessing" in trial.reason
    assert "grading must repeat itself" in trial.reason


def _raising(error: BaseException) -> Any:
    def technique(problem: Any) -> Any:
        raise error

    return technique


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("bad\nluck"), "failed", "ValueError: bad luck"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (MemoryError("512 GiB"), "out_of_memory", "MemoryError: 512 GiB"),
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "out_of_memory",
            "OutOfMemoryError: CUDA out of memory",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "out_of_memory",
            "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        ),
        (Inapplicable("has no heads"), "skipped", "has no heads"),
        (ValueError("x" * 900), "failed", "ValueError: " + "x" * 497 + "..."),
    ],
)
def test_an_exception_is_a_status_with_a_reason(
    bench: Bench, error: BaseException, status: str, reason: str
) -> None:
    outcome = bench.run_function(_raising(error))
    assert outcome.trial.status == status
    assert outcome.trial.reason == reason
    assert (outcome.error is None) == (status == "skipped")
    assert bench.run("reader").trial.skill == 1.0


def test_an_interrupt_is_not_swallowed(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.run_function(_raising(KeyboardInterrupt()))


def test_weights_that_are_not_here_skip(bench: Bench) -> None:
    def opener(spec: Any, device: str) -> Any:
        raise UnavailableError("fetch them first")

    trial = bench.new_runner(opener=opener).run(bench.cells("reader")["reader"]).trial
    assert (trial.status, trial.reason) == ("skipped", "fetch them first")


def test_cost_is_that_of_the_call_alone(bench: Bench) -> None:
    def costly(problem: Any) -> Any:
        inputs = torch.ones(1, 2, requires_grad=True)
        for _ in range(3):
            problem.model(inputs)
        problem.model(inputs).sum().backward()
        block = torch.ones(20_000_000)
        time.sleep(0.1)
        return bench.fakes.Guess(numbers=block[:4].clone())

    trial = bench.run_function(costly).trial
    assert trial.status == "ok"
    assert (trial.forwards, trial.backwards) == (4, 1)
    assert 0.1 <= trial.seconds < 5
    assert trial.cpu_seconds < trial.seconds + 1
    assert 60 < trial.peak_memory_mb < 300
    assert trial.plant_seconds > 0


def test_warnings_are_counted_and_fail_nothing(bench: Bench) -> None:
    def warning(problem: Any) -> Any:
        for _ in range(3):
            warnings.warn("did not converge", RuntimeWarning, stacklevel=1)
        return bench.fakes.Guess(numbers=torch.zeros(4))

    trial = bench.run_function(warning).trial
    assert trial.status == "ok"
    assert trial.warnings == {"RuntimeWarning": 3}


def test_a_technique_can_be_called_elsewhere(bench: Bench) -> None:
    seen = []

    class Elsewhere(Here):
        def call(self, cell: Cell, show: Any) -> Attended:
            seen.append(cell.technique_id)
            return super().call(cell, show)

    runner: Runner = bench.new_runner(caller=Elsewhere())
    assert runner.run(bench.cells("reader")["reader"]).trial.skill == 1.0
    assert seen == ["guessing/reader"]


def test_the_trial_says_what_was_run(bench: Bench) -> None:
    trial = bench.run("reader").trial
    assert trial.technique_arguments == {"factor": 1.0}
    assert trial.technique_fingerprint
    assert trial.name == "guessing/numbers[reader-small-0]"
    assert (trial.model, trial.params, trial.ladder, trial.model_revision) == ("small", 10, "fake", "r1")
    assert trial.primary == "closeness"
