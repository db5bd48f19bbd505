"""Run one cell at a time: call the technique under guards, grade its answer, and record the trial."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interp_bench.errors import ContractError
from interp_bench.harness.controls import outlasting
from interp_bench.harness.grid import CEILING, Cell
from interp_bench.harness.guards import Breach, ProcessState, borrowed_generators
from interp_bench.harness.meter import Cost, CostMeter
from interp_bench.harness.problems import (
    FLOOR_DRAWS,
    Fault,
    Opener,
    Sight,
    Stage,
    Stages,
    fault_of,
    graded,
    row_problem,
)
from interp_bench.harness.recording import record
from interp_bench.harness.trial import Provenance, Trial, skill_of

if TYPE_CHECKING:
    from interp_bench.tracks.base import Problem
    from interp_bench.tracks.catalogue import Technique

Call = Callable[["Technique", "Problem"], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A trial, and the exception behind it when it failed.

    Attributes:
        trial: what is stored.
        error: for the traceback; None unless the trial failed.
    """

    trial: Trial
    error: BaseException | None = None


@dataclass(slots=True)
class _Attempt:
    """What came of one call of a row.

    Attributes:
        scores: by metric; empty when there is a fault.
        fault: why there are none.
        cost: of the call alone.
        grade_seconds: cost of grading.
        warnings: how many of each category.
        spoilt: whether the problem must be planted again.
        posed: whether the row was asked at all.
    """

    scores: dict[str, float] = field(default_factory=dict)
    fault: Fault | None = None
    cost: Cost = field(default_factory=Cost)
    grade_seconds: float = 0.0
    warnings: Counter[str] = field(default_factory=Counter)
    spoilt: bool = False
    posed: bool = True


def call_here(technique: Technique, problem: Problem) -> object:
    """Call a technique in this process."""
    return technique.function(problem)


class Runner:
    """Runs cells, with one model open and one problem planted at a time.

    Args:
        opener: opens a model on a device.
        run: id of the run.
        provenance: called once a trial.
        call: how a technique is called; the seam at which another process can take over.
        floor_draws: guesses that the floor of a problem is the mean of.
    """

    def __init__(
        self,
        *,
        opener: Opener,
        run: str,
        provenance: Callable[[], Provenance],
        call: Call = call_here,
        floor_draws: int = FLOOR_DRAWS,
    ) -> None:
        self._stages = Stages(opener, floor_draws=floor_draws)
        self._run = run
        self._provenance = provenance
        self._call = call
        self._floor_draws = floor_draws

    def run(self, cell: Cell) -> Outcome:
        """Run one cell; whatever happens in it becomes the status of its trial."""
        provenance = self._provenance()
        stage = self._stages.of(cell)
        attempt = self._attempt(cell, stage) if stage.fault is None else _Attempt(fault=stage.fault)
        if attempt.spoilt:
            self._stages.drop()
        if not attempt.posed:
            stage = Stage(seconds=stage.seconds)
        fault = attempt.fault
        trial = record(
            cell,
            run=self._run,
            provenance=provenance,
            status=fault.status if fault else "ok",
            reason=fault.reason if fault else "",
            scores=attempt.scores,
            skill=_skill(cell, stage, attempt.scores),
            floor_scores=stage.floor,
            floor_spread=stage.floor_spread,
            floor_draws=self._floor_draws if stage.floor else 0,
            ceiling_scores=stage.ceiling,
            seconds=attempt.cost.seconds,
            cpu_seconds=attempt.cost.cpu_seconds,
            peak_memory_mb=attempt.cost.peak_memory_mb,
            forwards=attempt.cost.forwards,
            backwards=attempt.cost.backwards,
            grade_seconds=attempt.grade_seconds,
            plant_seconds=stage.seconds,
            certificate=stage.planted.certificate.as_numbers() if stage.planted else {},
            warnings=dict(attempt.warnings),
        )
        return Outcome(trial=trial, error=fault.error if fault else None)

    def close(self) -> None:
        """Let go of the open model."""
        self._stages.close()

    def _attempt(self, cell: Cell, stage: Stage) -> _Attempt:
        assert stage.planted is not None
        attempt, answer = _Attempt(posed=False), None
        try:
            with self._stages.sight(cell) as sight:
                attempt.posed = True
                with borrowed_generators(row_problem(cell, sight.problem).seed), _counted(attempt.warnings):
                    answer = self._answer(cell, stage, sight, attempt)
        except Exception as error:
            if attempt.posed:
                raise
            attempt.fault = fault_of(error, f"control {cell.control} of task {cell.task.id}: ")
        if attempt.fault is None:
            start = time.perf_counter()
            try:
                with _counted(attempt.warnings):
                    attempt.scores = _settled(cell, stage, graded(cell, stage.planted, answer))
            except Exception as error:
                attempt.fault = fault_of(error, _title(cell))
            attempt.grade_seconds = time.perf_counter() - start
        return attempt

    def _answer(self, cell: Cell, stage: Stage, sight: Sight, attempt: _Attempt) -> object:
        assert stage.planted is not None
        problem = row_problem(cell, sight.problem)
        process, answer = ProcessState(), None
        meter = CostMeter(problem.model)
        try:
            with meter:
                if cell.row.technique is None:
                    answer = cell.task.track.true_answer(stage.planted.problem, stage.planted.truth)
                else:
                    answer = self._call(cell.row.technique, problem)
            if cell.control:
                answer = outlasting(answer)
        except (Exception, SystemExit) as error:
            attempt.fault = fault_of(error, _title(cell))
        attempt.cost = meter.cost
        breaches = [*process.breaches(), *sight.module_state.breaches(), *sight.content.breaches()]
        process.repair()
        sight.module_state.repair()
        attempt.spoilt = any(breach.spoilt for breach in breaches)
        if breaches and (attempt.fault is None or attempt.fault.status == "skipped"):
            attempt.fault = _breached(cell, breaches)
        return answer


def _breached(cell: Cell, breaches: list[Breach]) -> Fault:
    text = "; ".join(breach.message for breach in breaches)
    return fault_of(ContractError(text), _title(cell))


def _title(cell: Cell) -> str:
    return f"the {CEILING} of track {cell.task.track.name}: " if cell.row.technique is None else ""


def _settled(cell: Cell, stage: Stage, scores: dict[str, float]) -> dict[str, float]:
    """Return the scores; those of the ceiling row must repeat the ceiling that was measured.

    Raises:
        ContractError: grading the truth a second time gave another result.
    """
    if cell.row.technique is not None:
        return scores
    for name, value in scores.items():
        # Accelerators add in another order each time; anything beyond that is no measurement.
        if not math.isclose(value, stage.ceiling[name], rel_tol=1e-4, abs_tol=1e-6):
            raise ContractError(
                f"grading the truth twice gave {name} {value:.6g} and {stage.ceiling[name]:.6g}; "
                "grading must repeat itself"
            )
    return stage.ceiling


def _skill(cell: Cell, stage: Stage, scores: dict[str, float]) -> float | None:
    if not scores:
        return None
    name = cell.task.track.primary.name
    return skill_of(scores[name], stage.floor[name], stage.ceiling[name])


@contextmanager
def _counted(counter: Counter[str]) -> Iterator[None]:
    """Catch every warning of a block, and count them by category."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    counter.update(warning.category.__name__ for warning in caught)
