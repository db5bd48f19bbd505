"""The one planted problem that is open: opening, restoring, planting, certifying, floor and ceiling."""

from __future__ import annotations

import gc
import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch

from interp_bench.errors import ContractError, Inapplicable, PlantingError
from interp_bench.harness import controls
from interp_bench.harness.checksums import weights
from interp_bench.harness.faults import Fault, fault_of, said
from interp_bench.harness.grid import Cell
from interp_bench.harness.guards import ModuleState, borrowed_generators
from interp_bench.harness.process_state import ProcessState
from interp_bench.harness.sight import Sight

if TYPE_CHECKING:
    from interp_bench.model.handle import Model
    from interp_bench.registry.spec import ModelSpec
    from interp_bench.tracks.base import Planted, Problem

FLOOR_DRAWS = 16
"""How many guesses the floor of a problem is the mean of."""

_NOTHING_TO_MEASURE = 1e-6
_LARGE_BYTES = 64 * 2**20
"""Beyond this a model is worth a search for what still refers to it, which takes .4 s."""

Opener = Callable[["ModelSpec", str], "Model"]


@dataclass(slots=True, kw_only=True)
class Stage:
    """A problem as it stands ready for techniques, or why it does not.

    Attributes:
        fault: why nothing can be scored on it, or None.
        planted: problem, truth and certificate; None when planting failed.
        seconds: cost of planting, certifying and calibrating.
        floor, floor_spread: mean and standard deviation of the guesses, by metric.
        ceiling: the score of the truth itself.
        sights: what rows see, by control; the empty string is the planted problem itself.
    """

    fault: Fault | None = None
    planted: Planted[Any, Any] | None = None
    seconds: float = 0.0
    floor: dict[str, float] = field(default_factory=dict)
    floor_spread: dict[str, float] = field(default_factory=dict)
    ceiling: dict[str, float] = field(default_factory=dict)
    sights: dict[str, Sight] = field(default_factory=dict)


class Stages:
    """Keeps one model open and one problem planted at a time.

    Args:
        opener: opens a model on a device; raises UnavailableError where its weights are not here.
        floor_draws: guesses per problem.
    """

    def __init__(self, opener: Opener, *, floor_draws: int = FLOOR_DRAWS) -> None:
        self._opener = opener
        self._floor_draws = floor_draws
        self._open: _OpenModel | None = None
        self._problem: tuple[str, str, int] | None = None
        self._stage = Stage()

    def stands(self, cell: Cell) -> bool:
        """Return whether the problem of a cell is the one that is planted."""
        return cell.problem == self._problem

    def of(self, cell: Cell, announce: Callable[[Sight], None] = lambda sight: None) -> Stage:
        """Return the stage of a cell's problem, planted now unless it stands already.

        Args:
            cell: the cell.
            announce: called with what rows will see once it is planted, before the guesses are scored.
        """
        if not self.stands(cell):
            self.drop()
            self._stage = self._prepare(cell, announce)
            self._problem = cell.problem
        return self._stage

    @contextmanager
    def sight(self, cell: Cell) -> Iterator[Sight]:
        """Show a cell's control while the block runs, or the planted problem, which has to stand.

        Raises:
            Inapplicable: its weights cannot be put into the model and taken back.
        """
        sights = self._stage.sights
        if not cell.control:
            yield sights[""]
            return
        assert self._open is not None
        with self._open.showing(cell):
            if cell.control not in sights:
                blind = cell.task.track.controls[cell.control]
                generator = torch.Generator().manual_seed(seed_for(cell, f"{cell.control} question", 0))
                sights[cell.control] = Sight.of(blind(sights[""].problem, generator))
            yield sights[cell.control]

    def drop(self) -> None:
        """Forget the planted problem, so that it is planted again when it is next needed."""
        self._problem = None
        self._stage = Stage()

    def close(self) -> None:
        """Forget the problem and let go of the model."""
        self.drop()
        self._let_go()

    def _prepare(self, cell: Cell, announce: Callable[[Sight], None]) -> Stage:
        stage = Stage()
        start = time.perf_counter()
        process = ProcessState()
        try:
            with borrowed_generators(cell.plant_seed), warnings.catch_warnings():
                # Warnings of a task are its author's business, not the reader's of the results.
                warnings.simplefilter("ignore")
                model = self._pristine(cell)
                start = time.perf_counter()
                stage.fault = self._plant(cell, model, stage)
                if stage.fault is None:
                    announce(stage.sights[""])
                    stage.fault = self._calibrate(cell, stage)
        except Exception as error:
            stage.fault = fault_of(error, f"task {cell.task.id}: ")
        finally:
            process.repair()
        stage.seconds = time.perf_counter() - start
        return stage

    def _pristine(self, cell: Cell) -> Model:
        if self._open is not None and self._open.model.spec.id == cell.spec.id and self._open.restore():
            return self._open.model
        self._let_go()
        self._open = _OpenModel(self._opener(cell.spec, cell.device))
        return self._open.model

    def _let_go(self) -> None:
        """Let go of the model; its memory is given back at once where the next one may need it."""
        large = self._open is not None and self._open.size > _LARGE_BYTES
        self._open = None
        if large:
            gc.collect()

    def _plant(self, cell: Cell, model: Model, stage: Stage) -> Fault | None:
        try:
            stage.planted = cell.task.function(model, cell.plant_seed)
        except PlantingError as error:
            return Fault(status="invalid", reason=said(error))
        if cell.secret is not None:
            # The task's own choice may tell the seed that it was planted from.
            problem = replace(stage.planted.problem, seed=seed_for(cell, "technique", 0))
            stage.planted = replace(stage.planted, problem=problem)
        certificate = stage.planted.certificate
        if not certificate.passed:
            return Fault(status="invalid", reason=f"not certified: {certificate.reason}")
        stage.sights[""] = Sight.of(stage.planted.problem)
        return None

    def _calibrate(self, cell: Cell, stage: Stage) -> Fault | None:
        assert stage.planted is not None
        track, planted = cell.task.track, stage.planted
        ceiling = graded(cell, planted, track.true_answer(planted.problem, planted.truth))
        draws = []
        for index in range(self._floor_draws):
            problem = replace(planted.problem, seed=seed_for(cell, "floor", index))
            with borrowed_generators(problem.seed):
                answer = cell.floor.function(problem)
            draws.append(graded(cell, planted, answer))
        stage.ceiling = ceiling
        stage.floor = {name: float(np.mean([draw[name] for draw in draws])) for name in ceiling}
        stage.floor_spread = {
            name: float(np.std([draw[name] for draw in draws], ddof=1)) if len(draws) > 1 else 0.0
            for name in ceiling
        }
        return _unmeasurable(track.primary, stage.floor, ceiling)


class _OpenModel:
    """An open model of ``size`` bytes, and a copy of its weights as they came, where there is room."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._state = ModuleState(model.module)
        tensors = dict(weights(model.module))
        self.size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        self._saved: dict[str, torch.Tensor] | None = None
        if self.size <= psutil.virtual_memory().total // 4:
            self._saved = controls.copied(model.module)

    def restore(self) -> bool:
        """Put the pristine weights back; return False when the model has to be opened again."""
        if self._saved is None or not controls.fits(self._saved, self.model.module):
            return False
        controls.put(self._saved, self.model.module)
        self._state.repair()
        return True

    @contextmanager
    def showing(self, cell: Cell) -> Iterator[None]:
        """Show the network of a cell's control while the block runs.

        Raises:
            Inapplicable: there is no room for a copy of the planted weights, or those from before do
                not fit any more.
        """
        if cell.control == "shuffled":
            yield
            return
        if self._saved is None:
            raise Inapplicable("the model is too large to keep its planted weights beside others")
        if not controls.fits(self._saved, self.model.module):
            raise Inapplicable("planting rebuilt the network, so that its weights from before do not fit")
        module, pristine = self.model.module, self._saved
        generator = torch.Generator().manual_seed(seed_for(cell, f"{cell.control} weights", 0))

        def change() -> None:
            if cell.control == "unplanted":
                controls.put(pristine, module)
            else:
                controls.permute(module, pristine, generator)

        with controls.shown(module, change):
            yield


def graded(cell: Cell, planted: Planted[Any, Any], answer: object) -> dict[str, float]:
    """Return the scores of an answer: the one path of techniques, floor and ceiling.

    Raises:
        ContractError: the answer does not fit, or a metric is not finite.
    """
    with borrowed_generators(planted.problem.seed):
        scores = cell.task.track.score(planted.problem, planted.truth, answer)
    for name, value in scores.items():
        if not math.isfinite(value):
            raise ContractError(f"metric {name} of the answer is {value}")
    return scores


def row_problem(cell: Cell, problem: Problem) -> Problem:
    """Return the problem as a row sees it: guessing gets a seed that is not among the floor's.

    It is a copy, so that each row pays for what it has the problem remember.
    """
    if cell.row.role != "floor":
        return replace(problem)
    return replace(problem, seed=seed_for(cell, cell.control or "row", 0))


def seed_for(cell: Cell, purpose: str, index: int) -> int:
    """Return a seed below 2**31 of its own for each problem, purpose and index."""
    if cell.secret is not None:
        return cell.secret.seed(*cell.problem, purpose, index)
    digest = hashlib.sha256(repr((cell.problem, purpose, index)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _unmeasurable(primary: Any, floor: Mapping[str, float], ceiling: Mapping[str, float]) -> Fault | None:
    low, high = floor[primary.name], ceiling[primary.name]
    if abs(high - low) < _NOTHING_TO_MEASURE:
        reason = f"nothing to measure: guessing scores {low:.4g} on {primary.name}, as the truth does"
        return Fault(status="invalid", reason=reason)
    if (high < low) == (primary.direction == "higher"):
        reason = f"guessing scores {low:.4g} on {primary.name}, better than the truth with {high:.4g}"
        return Fault(status="invalid", reason=reason)
    return None
