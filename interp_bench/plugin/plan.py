"""The plan of a run: what the options select, what is stored already, and how long the rest takes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.errors import InterpBenchError, near_name
from interp_bench.harness import models
from interp_bench.harness.discovery import load_installed, load_tasks, load_techniques
from interp_bench.harness.estimate import QUICK_LIMIT, Timings, spoken
from interp_bench.harness.folders import task_files
from interp_bench.harness.gates import Gates, load_comparison, parse_max_drops, parse_min_skill, source_name
from interp_bench.harness.grid import Cell, Grid
from interp_bench.harness.limits import parse_limits
from interp_bench.harness.seed_secret import read_secret
from interp_bench.harness.selection import (
    parse_seeds,
    select_controls,
    select_models,
    select_tasks,
    select_techniques,
)
from interp_bench.harness.store import DEFAULT_PATH, Store
from interp_bench.plugin.isolating import registrar
from interp_bench.plugin.options import Options

if TYPE_CHECKING:
    from interp_bench.registry.load import Registry

_REASONS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is settled before the first trial.

    Attributes:
        options: what the user asked for.
        run: id of the run.
        grid: cells, and why other combinations are none.
        gates: bounds on skill.
        store: the file of trials.
        stored: keys of the trials that need not be run again.
    """

    options: Options
    run: str
    grid: Grid
    gates: Gates
    store: Path
    stored: frozenset[str]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in running order."""
        return self.grid.cells

    @cached_property
    def _by_name(self) -> dict[str, list[Cell]]:
        named: dict[str, list[Cell]] = {}
        for cell in self.cells:
            named.setdefault(cell.name, []).append(cell)
        return named

    def cells_of(self, file: Path) -> list[Cell]:
        """Return the cells of the tasks that a file defines, in running order."""
        return [cell for cell in self.cells if cell.task.origin == file]

    def find(self, node_id: str) -> Cell | None:
        """Return the cell of a pytest node id, with or without the group that xdist appends.

        Where several files have a cell of that name it is the one in the file of the node id, or in the
        file that its path is most like: one that is reached by a symbolic link goes by another path.
        """
        for candidates in _splits(node_id):
            near = [
                (self._nearness(path, cell), cell)
                for path, name in candidates
                for cell in self._by_name.get(name, ())
            ]
            most = max((nearness for nearness, _ in near), default=0)
            nearest = [cell for nearness, cell in near if nearness == most]
            if nearest:
                return nearest[0] if len(nearest) == 1 else None
        return None

    def _nearness(self, path: str, cell: Cell) -> int:
        """Return how many parts at the end of two paths are the same, or more where they are one file."""
        origin = cell.task.origin
        if "\0" not in path and (self.options.root / path).resolve() == origin:
            return len(origin.parts) + 1
        pairs = zip(reversed(Path(path).parts), reversed(origin.parts), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def is_stored(self, cell: Cell) -> bool:
        """Return whether a cell's trial is taken from the store."""
        return cell.key in self.stored

    def unavailable(self, cell: Cell) -> str | None:
        """Return why the model of a cell is not on this machine, or None when it is."""
        if cell.spec.id not in self._reasons:
            self._reasons[cell.spec.id] = models.MODELS.unavailable(cell.spec)
        return self._reasons[cell.spec.id]

    @cached_property
    def _reasons(self) -> dict[str, str | None]:
        return {}

    def to_run(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return the cells that have to be computed: not stored, and their model is here."""
        return [cell for cell in cells if not self.is_stored(cell) and self.unavailable(cell) is None]

    def announcement(self, cells: Sequence[Cell], timings: Timings, workers: int) -> list[str]:
        """Return what to say before the run: how many trials, how many are stored, how long."""
        fresh = self.to_run(cells)
        stored = sum(self.is_stored(cell) for cell in cells)
        count = len({cell.spec.id for cell in cells})
        parts = [f"{len(cells)} trials on {count} model{'s' * (count != 1)}", f"{stored} stored already"]
        if len(cells) > stored + len(fresh):
            parts.append(f"{len(cells) - stored - len(fresh)} skipped as their model is not here")
        estimate = timings.of(fresh, workers)
        parts.append(f"{len(fresh)} to run ({estimate})" if fresh else "none to run")
        lines = ["; ".join(parts)]
        if self.options.tier == "quick" and estimate.seconds > QUICK_LIMIT:
            lines.append(
                f"this will take longer than the {spoken(QUICK_LIMIT)} that the quick tier is meant to take; "
                "narrow it with --bench-model, --bench-technique, --bench-task or --bench-seeds"
            )
        return lines


def _splits(node_id: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the files and names that a node id can be read as, for each place where the name may end.

    A path may hold ``::``, and what xdist appends a bracket.
    """
    for end in reversed([found.end() for found in re.finditer(r"\]", node_id)]):
        starts = [found.start() for found in re.finditer("(?=::)", node_id[:end])]
        yield [(node_id[:start], node_id[start + 2 : end]) for start in starts]


def make_plan(
    options: Options,
    registry: Registry,
    places: Sequence[Path],
    *,
    run: str = "",
    stored: frozenset[str] | None,
) -> Plan:
    """Settle everything before the first trial.

    Args:
        options: what the user asked for.
        registry: all models.
        places: files and folders to take tasks from.
        run: id of the run, made here when empty.
        stored: keys of the trials to reuse, looked up here when None.

    Raises:
        InterpBenchError: anything that the user has to mend, in one line.
    """
    check_device(options.device)
    parse_limits(options.tier, workers=1, timeout=options.timeout, memory=options.memory)
    grid, known = _select(options, registry, places)
    store = options.store or options.root / DEFAULT_PATH
    plan = Plan(
        options=options,
        run=run or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
        grid=grid,
        gates=_gates(options, known, store, run),
        store=store,
        stored=stored if stored is not None else _stored(store, fresh=options.fresh),
    )
    if not plan.cells and not options.explain:
        raise InterpBenchError(f"nothing to run: {_why_empty(grid)}")
    refuse_twins(plan.cells)
    return plan


def refuse_twins(cells: Iterable[Cell]) -> None:
    """Refuse two trials that pytest could not tell apart, of which one would be lost."""
    named: dict[tuple[Path, str], Cell] = {}
    for cell in cells:
        twin = named.setdefault((cell.task.origin, cell.name), cell)
        if twin is not cell:
            raise InterpBenchError(
                f"{cell.task.origin}: two trials are called {cell.name!r}, of {twin.technique_id} for "
                f"{twin.task.id} and of {cell.technique_id} for {cell.task.id}; rename one of them"
            )


def _select(options: Options, registry: Registry, places: Sequence[Path]) -> tuple[Grid, set[str]]:
    """Return the grid, and all names that a technique can be called by."""
    from interp_bench.tracks.catalogue import CATALOGUE

    apart = registrar(options, places)
    load_installed(apart)
    tasks = [task for file in task_files(places) for task in load_tasks(file)]
    techniques, floors = select_techniques(
        options.techniques,
        CATALOGUE,
        root=options.here,
        load=load_techniques if apart is None else apart.file,
    )
    unnarrowed = not options.tasks and not options.models
    few_controls = not options.controls and unnarrowed
    grid = Grid(
        techniques=techniques,
        tasks=select_tasks(options.tasks, tasks),
        specs=select_models(options.models, registry, options.tier),
        seeds=parse_seeds(options.seeds),
        floors=floors,
        device=options.device,
        brief=options.tier == "quick" and unnarrowed,
        controls=select_controls(["all"] if few_controls else options.controls),
        few_controls=few_controls,
        secret=read_secret(options.seed_secret, options.here) if options.seed_secret else None,
    )
    return grid, {name for t in CATALOGUE.techniques.values() for name in (t.name, t.id)}


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        InterpBenchError: the device is unknown or absent.
    """
    import torch

    kinds = ("cpu", "cuda", "mps")
    kind, colon, index = device.partition(":")
    if kind not in kinds or (colon and not re.fullmatch("[0-9]{1,4}", index)):
        raise InterpBenchError(
            f"--bench-device is {device!r}; give one of {', '.join(kinds)}{near_name(kind, kinds)}"
        )
    absent = kind == "mps" and not torch.backends.mps.is_available()
    if kind != "cuda":
        absent = absent or int(index or 0) > 0
    if kind == "cuda":
        absent = int(index or 0) >= torch.cuda.device_count()
    if absent:
        raise InterpBenchError(f"--bench-device is {device!r}; torch finds no such device on this machine")


def _stored(path: Path, *, fresh: bool) -> frozenset[str]:
    with Store.open(path) as store:
        return frozenset() if fresh else store.settled()


def _gates(options: Options, known: set[str], store: Path, run: str) -> Gates:
    minima = tuple(parse_min_skill(text, known) for text in options.min_skill)
    drop, mean_drop = parse_max_drops(options.compare_fail)
    gates = Gates(minima=minima, drop=drop, mean_drop=mean_drop)
    if not options.compare:
        return gates
    before = load_comparison(options.compare, store=store, root=options.here, current=run)
    source = source_name(options.compare, store=store, root=options.here, current=run)
    return replace(gates, before=before, source=source)


def _why_empty(grid: Grid) -> str:
    if not grid.tasks:
        return "there are no tasks here (files bench_*.py with @task functions)"
    reasons = [f"{absent.what}: {absent.reason}" for absent in grid.explain()]
    shown = "; ".join(reasons[:_REASONS_SHOWN]) or "no technique, task and model go together"
    more = f"; and {len(reasons) - _REASONS_SHOWN} more" if len(reasons) > _REASONS_SHOWN else ""
    return f"{shown}{more} (--bench-explain says all)"
