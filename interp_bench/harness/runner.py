"""Run one cell at a time: call the technique under guards, grade its answer, and record the trial."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from interp_bench.errors import ContractError
from interp_bench.harness.attending import Attended, attend, counted_warnings
from interp_bench.harness.calling import Caller, Here
from interp_bench.harness.faults import Fault, fault_of
from interp_bench.harness.grid import CEILING, Cell
from interp_bench.harness.meter import Cost, CostMeter
from interp_bench.harness.problems import FLOOR_DRAWS, Opener, Stage, Stages, graded
from interp_bench.harness.recording import record
from interp_bench.harness.sight import Sight
from interp_bench.harness.trial import Provenance, Trial, skill_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A trial, and what is behind it when it failed.

    Attributes:
        trial: what is stored.
        error: the exception, where it was raised in this process.
        trace: the traceback in text, or what was written last.
    """

    trial: Trial
    error: BaseException | None = None
    trace: str = ""


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


class _Unshown(Exception):
    """A control cannot be shown; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class Runner:
    """Runs cells, with one model open and one problem planted at a time.

    Args:
        opener: opens a model on a device.
        run: id of the run.
        provenance: called once a trial.
        caller: how techniques are called, here or in processes of their own.
        floor_draws: guesses that the floor of a problem is the mean of.
    """

    def __init__(
        self,
        *,
        opener: Opener,
        run: str,
        provenance: Callable[[], Provenance],
        caller: Caller | None = None,
        floor_draws: int = FLOOR_DRAWS,
    ) -> None:
        self._stages = Stages(opener, floor_draws=floor_draws)
        self._run = run
        self._provenance = provenance
        self._caller = caller or Here()
        self._floor_draws = floor_draws

    def run(self, cell: Cell) -> Outcome:
        """Run one cell; whatever happens in it becomes the status of its trial."""
        provenance = self._provenance()
        self._caller.prepare(cell)
        if not self._stages.stands(cell):
            self._caller.forget()
        stage = self._stages.of(cell, lambda sight: self._caller.foresee(cell, sight))
        attempt = self._attempt(cell, stage) if stage.fault is None else _Attempt(fault=stage.fault)
        if attempt.spoilt:
            self._caller.forget()
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
        return Outcome(trial=trial, error=fault.error if fault else None, trace=fault.trace if fault else "")

    def close(self) -> None:
        """Let go of the open model, and end the processes of the caller."""
        self._caller.close()
        self._stages.close()

    def _attempt(self, cell: Cell, stage: Stage) -> _Attempt:
        assert stage.planted is not None
        attempt = _Attempt()
        try:
            attended = self._attended(cell, stage)
        except _Unshown as unshown:
            return _Attempt(posed=False, fault=unshown.fault)
        attempt.fault, attempt.cost, attempt.spoilt = attended.fault, attended.cost, attended.spoilt
        attempt.warnings = attended.warnings
        if attempt.fault is None:
            start = time.perf_counter()
            try:
                with counted_warnings(attempt.warnings):
                    attempt.scores = _settled(cell, stage, graded(cell, stage.planted, attended.answer))
            except Exception as error:
                attempt.fault = fault_of(error, _title(cell))
            attempt.grade_seconds = time.perf_counter() - start
        return attempt

    def _attended(self, cell: Cell, stage: Stage) -> Attended:
        if cell.row.technique is not None:
            return self._caller.call(cell, lambda: self._shown(cell))
        planted, meter = stage.planted, None
        assert planted is not None
        with self._shown(cell) as sight:
            meter = CostMeter(sight.problem.model)
            attended = attend(
                lambda problem: cell.task.track.true_answer(problem, planted.truth),
                sight.problem,
                sight,
                meter=meter,
                where=_title(cell),
            )
        attended.cost = meter.cost
        return attended

    @contextmanager
    def _shown(self, cell: Cell) -> Iterator[Sight]:
        """Show what a row sees; a control that cannot be shown is no fault of the technique."""
        with ExitStack() as stack:
            try:
                sight = stack.enter_context(self._stages.sight(cell))
            except Exception as error:
                where = f"control {cell.control} of task {cell.task.id}: "
                raise _Unshown(fault_of(error, where)) from error
            yield sight


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
