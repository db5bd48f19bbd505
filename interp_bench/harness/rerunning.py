"""Running the question of a stored trial again, as ``pytest --bench`` would, in workers of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.errors import InterpBenchError
from interp_bench.harness import discovery, models
from interp_bench.harness.calling import Caller, Here
from interp_bench.harness.folders import task_files, tasks_folder
from interp_bench.harness.grid import CEILING, Cell, Grid
from interp_bench.harness.isolation.arranging import concealed, isolated, walls
from interp_bench.harness.isolation.registering import Registrar
from interp_bench.harness.isolation.staff import the_nursery
from interp_bench.harness.limits import usual_limits
from interp_bench.harness.provenance import provenance
from interp_bench.harness.runner import Runner
from interp_bench.harness.threads import ThreadSetting, thread_count
from interp_bench.harness.trial import Provenance, Trial
from interp_bench.tracks.catalogue import CATALOGUE

if TYPE_CHECKING:
    from interp_bench.registry.load import Registry
    from interp_bench.registry.spec import ModelSpec
    from interp_bench.tracks.catalogue import Task, Technique

MOST_SEED = 999_999_999
"""Largest seed that ``--bench-seeds`` takes."""


@contextmanager
def rerunning(
    *,
    run: str,
    project: Path,
    files: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    isolate: bool | None = None,
) -> Iterator[Rerun]:
    """Get ready to ask questions again, and put threads and processes back afterwards.

    Args:
        run: id of the run that the new trials belong to.
        project: root folder of the project, whose tasks are asked.
        files: of techniques that no package defines.
        hidden: files and folders that techniques cannot read, beside results, tasks and planting.
        isolate: whether techniques run in processes of their own; None for wherever that is possible.

    Raises:
        InterpBenchError: a technique or a task cannot be loaded, or models.yaml is wrong.
    """
    if isolate is None:
        # The processes are forked, watched and ended by means of Linux.
        isolate = sys.platform == "linux"
    threads = ThreadSetting(thread_count(1))
    rerun = None
    try:
        threads.apply()
        places = task_files([tasks_folder(project)])
        hidden = (*concealed(project, places), *hidden)
        apart = Registrar(the_nursery(discovery.PACKAGES), hidden) if isolate else None
        discovery.load_installed(apart)
        tasks = [task for file in places for task in discovery.load_tasks(file)]
        for file in files:
            (discovery.load_techniques if apart is None else apart.file)(file)
        caller = isolated(usual_limits("standard", workers=1), hidden=hidden) if isolate else Here()
        facts = partial(
            provenance,
            threads=threads.threads,
            project=project,
            isolation=walls("fresh") if isolate else "",
        )
        rerun = Rerun(run=run, tasks=tasks, caller=caller, facts=facts)
        yield rerun
    finally:
        if rerun is not None:
            rerun.close()
        threads.undo()


class Rerun:
    """Asks questions of stored trials again.

    Args:
        run: id of the run that the new trials belong to.
        tasks: that can be asked.
        caller: how techniques are called.
        facts: gives the provenance of a trial on a device.
    """

    def __init__(
        self, *, run: str, tasks: Iterable[Task], caller: Caller, facts: Callable[..., Provenance]
    ) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._registry: Registry = models.MODELS.registry()
        self._device = "cpu"
        self._runner = Runner(
            opener=models.MODELS.open, run=run, provenance=lambda: facts(device=self._device), caller=caller
        )

    def close(self) -> None:
        """Let go of the open model, and end the processes of the caller."""
        self._runner.close()

    def cell(self, trial: Trial) -> Cell | str:
        """Return the question of a trial as it is asked here, or why it is not asked."""
        try:
            entries = self._entries(trial)
        except InterpBenchError as error:
            return str(error)
        technique, task, spec, device = entries
        reason = _other_versions(trial, technique, task, spec) or models.MODELS.unavailable(spec)
        if reason:
            return reason
        floors = {t.track.name: t for t in CATALOGUE.techniques.values() if t.floor}
        if trial.track not in floors:
            return f"no technique of the {trial.track} track guesses here"
        grid = Grid(
            techniques=[technique or floors[trial.track]],
            tasks=[task],
            specs=[spec],
            seeds=[trial.seed],
            floors=floors,
            device=device,
            controls=(trial.control,) if trial.control else (),
        )
        found = next((cell for cell in grid.cells if cell.identity == trial.cell), None)
        if found is None:
            return (
                "; ".join(f"{absent.what}: {absent.reason}" for absent in grid.explain()) or "no such trial"
            )
        if found.key != trial.key:
            return "its key is another: the floor of its track has another version here, or it was changed"
        return found

    def run(self, cells: Iterable[Cell]) -> Iterator[tuple[Cell, Trial]]:
        """Run cells, and yield the trials as they come: one model at a time, each problem in one go."""

        def order(cell: Cell) -> tuple[int, str, int, str, str, str]:
            return (-cell.spec.params, cell.spec.id, cell.seed, cell.task.id, cell.control, cell.row.name)

        for cell in sorted(cells, key=order):
            self._device = cell.device
            yield cell, self._runner.run(cell).trial

    def _entries(self, trial: Trial) -> tuple[Technique | None, Task, ModelSpec, str]:
        """Return technique, task, model and device of a trial.

        Raises:
            InterpBenchError: one of them is not here.
        """
        if trial.seed_secret:
            raise InterpBenchError(f"its seed follows from the secret {trial.seed_secret}")
        if not 0 <= trial.seed <= MOST_SEED:
            raise InterpBenchError(f"seed {trial.seed} is none that can be asked for")
        technique = CATALOGUE.techniques.get(trial.technique_id)
        if technique is None and trial.technique != CEILING:
            raise InterpBenchError(f"no technique {trial.technique_id} is installed here")
        task = self._tasks.get(trial.task_id)
        if task is None:
            raise InterpBenchError(f"there is no task {trial.task_id} here")
        return technique, task, self._registry.get(trial.model), _device_of(trial.provenance.device)


def _device_of(name: str) -> str:
    """Return the device here that is of the kind of a trial's.

    Raises:
        InterpBenchError: this machine has none.
    """
    import torch

    kind = name if name in ("cpu", "mps") else "cuda"
    here = {"cpu": True, "mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    if not here[kind]:
        raise InterpBenchError(f"it was run on {name!r}, and this machine has no such device")
    return kind


def _other_versions(trial: Trial, technique: Technique | None, task: Task, spec: ModelSpec) -> str:
    """Return which part of a trial has another version here, or an empty string."""
    facts = [
        (f"task {task.id}", "version", trial.task_version, task.version),
        (f"task {task.id}", "dials", trial.dials, dict(task.arguments)),
        (f"model {spec.id}", "revision", trial.model_revision, spec.revision),
    ]
    if technique is not None:
        what = f"technique {technique.id}"
        facts += [
            (what, "version", trial.technique_version, technique.version),
            (what, "arguments", trial.technique_arguments, dict(technique.arguments)),
            (what, "source file", trial.technique_fingerprint, technique.fingerprint),
        ]
    for what, noun, there, here in facts:
        if there != here:
            return f"{what} has {noun} {here} here, and {there} there"
    return ""
