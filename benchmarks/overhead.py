"""What the harness costs: beside a trial on a tiny model, and over two slices of the standard tier.

Run ``python benchmarks/overhead.py [--write benchmarks/overhead.md]`` on an otherwise idle machine, for
some forty minutes; it computes with one thread. The bare work is what a script without a harness would do:
open, plant, certify, call. Problem by problem it takes turns with the same cells under the harness, which
besides draws sixteen guesses, grades, checks the contract, isolates, and stores each trial. One slice is
what the tier runs: all techniques on some tasks and a model. The other has the quicker techniques alone,
on more models, where what each problem and each trial costs weighs more. The
command fails beyond its bounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Self

from tabulate import tabulate

from interp_bench.errors import Inapplicable
from interp_bench.harness.calling import Caller, Here
from interp_bench.harness.discovery import PACKAGES, load_installed, load_tasks
from interp_bench.harness.folders import task_files
from interp_bench.harness.grid import Cell, Grid
from interp_bench.harness.isolation.caller import Isolated
from interp_bench.harness.isolation.registering import Registrar
from interp_bench.harness.isolation.staff import the_nursery
from interp_bench.harness.limits import Limits
from interp_bench.harness.models import MODELS
from interp_bench.harness.problems import row_problem
from interp_bench.harness.provenance import provenance
from interp_bench.harness.runner import Runner
from interp_bench.harness.store import Store
from interp_bench.harness.threads import ThreadSetting
from interp_bench.harness.trial import Provenance
from interp_bench.tracks.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "my_technique.py"
TINY = (("dictionary",), ("native-30k",))
SLICE = (("induction", "dictionary", "token_evidence"), ("llama-random-6m",))
QUICK = (SLICE[0], ("llama-random-6m", "native-rope-5m", "gpt2-random-6m"))
# Always the same ones, so that the page compares with earlier ones.
QUICK_TECHNIQUES = (
    "ceiling", "random", "eap", "eap_ig", "gradient_x_activation", "node_patching", "weight_composition",
    "fast_ica", "k_means", "l1_autoencoder", "topk_autoencoder", "nmf", "pca", "neurons", "saliency",
    "integrated_gradients", "occlusion", "smooth_grad", "input_x_gradient", "embedding_norm",
)  # fmt: skip
MOST_MS = 40.0
MOST_RATIO = 1.05
MOST_RATIO_QUICK = 1.1
LIMITS = Limits(seconds=3600.0)
WAYS: MappingProxyType[str, Callable[[], Caller]] = MappingProxyType(
    {
        "none": Here,
        "fresh": lambda: Isolated(the_nursery(PACKAGES), LIMITS),
        "warm": lambda: Isolated(the_nursery(PACKAGES), LIMITS, warm=True),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Some cells under the harness.

    Attributes:
        seconds: wall clock, opening and planting included.
        beside: milliseconds of each trial beside the call of its technique, where nothing was planted.
    """

    seconds: float
    beside: tuple[float, ...]


def here() -> Provenance:
    return provenance(device="cpu", threads=1, project=ROOT)


def cells_of(tasks: Sequence[str], models: Sequence[str], seeds: Sequence[int]) -> tuple[Cell, ...]:
    """Return the cells of all techniques on some tasks and models."""
    known = [task for file in task_files([ROOT / "tasks"]) for task in load_tasks(file)]
    specs = MODELS.registry().specs
    grid = Grid(
        techniques=list(CATALOGUE.techniques.values()),
        tasks=[task for task in known if task.name in tasks],
        specs=[spec for spec in specs if spec.id in models],
        seeds=seeds,
        floors={t.track.name: t for t in CATALOGUE.techniques.values() if t.floor},
    )
    return grid.cells


def bare(cells: Sequence[Cell]) -> float:
    """Return the seconds of opening, planting and calling, and nothing else."""
    start, problem, at_hand = time.perf_counter(), None, None
    for cell in cells:
        if cell.row.technique is None:
            continue
        if cell.problem != at_hand:
            model = MODELS.open(cell.spec, cell.device)
            problem, at_hand = cell.task.function(model, cell.seed).problem, cell.problem
        assert problem is not None
        with suppress(Inapplicable):
            cell.row.technique.function(row_problem(cell, problem))
    return time.perf_counter() - start


class Harnessed:
    """A run that does cells as `pytest --bench` does, each stored when it is done.

    Args:
        caller: how techniques are called.
    """

    def __init__(self, caller: Caller) -> None:
        self._ending = ExitStack()
        folder = self._ending.enter_context(tempfile.TemporaryDirectory())
        self._store = self._ending.enter_context(Store.open(Path(folder) / "store.sqlite3"))
        self._runner = Runner(opener=MODELS.open, run="overhead", provenance=here, caller=caller)
        self._ending.callback(self._runner.close)
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.close()

    def seconds(self, cells: Sequence[Cell]) -> float:
        """Run cells, and return how long that took."""
        return self.passed(cells).seconds

    def passed(self, cells: Sequence[Cell]) -> Passed:
        """Run cells, and return what they took."""
        beside = []
        start = time.perf_counter()
        at_hand = None
        for cell in cells:
            began = time.perf_counter()
            trial = self._runner.run(cell).trial
            self._count += 1
            self._store.put(trial.model_copy(update={"run_id": f"overhead-{self._count}"}))
            if trial.status not in ("ok", "skipped"):
                raise SystemExit(f"{trial.name}: {trial.status}: {trial.reason}")
            if cell.problem == at_hand and cell.row.technique is not None:
                beside.append(1e3 * (time.perf_counter() - began - trial.seconds))
            at_hand = cell.problem
        return Passed(seconds=time.perf_counter() - start, beside=tuple(beside))


def harnessed(cells: Sequence[Cell], caller: Caller) -> Passed:
    """Run cells in a run of their own."""
    with Harnessed(caller) as run:
        return run.passed(cells)


def stranger(repeats: int) -> list[object]:
    """Return the row of a contributor's file, each trial of which gets a fresh process."""
    (technique,) = Registrar(the_nursery(PACKAGES), ()).file(EXAMPLE)
    cells = cells_of(*TINY, seeds=(0,))
    cell = next(cell for cell in cells if cell.row.name == technique.name)
    beside = harnessed([cells[0], *[cell] * repeats], WAYS["fresh"]()).beside
    return [f"fresh, {EXAMPLE.name}", statistics.median(beside), statistics.quantiles(beside, n=10)[-1], ""]


def tiny(repeats: int) -> list[list[object]]:
    """Return a row for each way: median milliseconds beside the call."""
    cells = cells_of(*TINY, seeds=(0,))
    guess = next(cell for cell in cells if cell.row.role == "floor")
    rows: list[list[object]] = []
    for way, make in WAYS.items():
        quick = harnessed([cells[0], *[guess] * repeats], make()).beside
        real = harnessed(cells, make()).beside
        rows.append(
            [way, statistics.median(quick), statistics.quantiles(quick, n=10)[-1], statistics.median(real)]
        )
    return rows


def compared(cells: Sequence[Cell], rounds: int) -> list[list[object]]:
    """Return a row for each way: seconds, and the ratio to the bare work of the same round."""
    # What is imported for a kind of model is imported once a run, by harness and nursery alike.
    guesses = {cell.spec.id: cell for cell in cells if cell.row.role == "floor"}
    bare(tuple(guesses.values()))
    harnessed(tuple(guesses.values()), WAYS["fresh"]())
    rounds_taken = [_one_round(cells, turn) for turn in range(rounds)]
    seconds = {way: [taken[way] for taken in rounds_taken] for way in ("bare", *WAYS)}
    rows: list[list[object]] = []
    for way, taken in seconds.items():
        ratios = [t / b for t, b in zip(taken, seconds["bare"], strict=True)]
        shown = (statistics.median(taken), statistics.median(ratios), min(ratios), max(ratios))
        rows.append([way, len(cells), *shown])
    return rows


def _one_round(cells: Sequence[Cell], turn: int) -> dict[str, float]:
    """Return the seconds of each way; they take turns problem by problem, for the machine's pace drifts."""
    problems = [list(group) for _, group in groupby(cells, key=lambda cell: cell.problem)]
    with ExitStack() as stack:
        runs = {way: stack.enter_context(Harnessed(make())) for way, make in WAYS.items()}
        ways: dict[str, Callable[[Sequence[Cell]], float]] = {"bare": bare}
        ways |= {way: run.seconds for way, run in runs.items()}
        taken = dict.fromkeys(ways, 0.0)
        for number, some in enumerate(problems, start=turn):
            first = number % len(ways)
            for way in [*ways, *ways][first : first + len(ways)]:
                taken[way] += ways[way](some)
    return taken


def page(
    tiny_rows: list[list[object]], slice_rows: list[list[object]], quick_rows: list[list[object]]
) -> str:
    """Return the page."""
    first = tabulate(
        tiny_rows,
        headers=("isolation", "median ms", "90% ms", "median ms, all techniques"),
        floatfmt=".1f",
        tablefmt="github",
    )
    made = here()
    return (
        "# What the harness costs\n\n"
        f"Made by `python benchmarks/overhead.py` with one thread: Python {made.python}, torch {made.torch}, "
        f"{made.platform}, {os.cpu_count()} cores.\n\n"
        "## Beside one trial on a tiny model\n\n"
        f"Wall clock of a trial less that of its call: guessing on {TINY[1][0]} again and again, and all "
        f"techniques on {TINY[0][0]} once; the last row is a contributor's file. Grading, the checks of "
        "the contract and the store are part of it. "
        f"Bound: {MOST_MS:g} ms.\n\n{first}\n\n"
        "## Over a slice of the standard tier\n\n"
        "The bare work opens, plants, certifies and calls. The harness besides draws guesses, grades, "
        "checks, isolates and stores, and opens a model once where the bare work opens it for each "
        "problem. Imports are made before; the ways take turns, problem by problem, in several rounds; the "
        "ratio is the median of the rounds.\n\n"
        f"All techniques on tasks {', '.join(SLICE[0])} and model {', '.join(SLICE[1])}, one seed, as the "
        f"tier runs them. Bound: {MOST_RATIO:g} times the bare work.\n\n{_ratios(slice_rows)}\n\n"
        "## Over its quicker techniques\n\n"
        f"{len(QUICK_TECHNIQUES) - 2} techniques, guessing and the truth on the same tasks and models "
        f"{', '.join(QUICK[1])}, one seed: a problem takes a tenth of the time, so that what "
        f"each problem and each trial costs weighs more. Bound: {MOST_RATIO_QUICK:g} times the bare work."
        f"\n\n{_ratios(quick_rows)}\n"
    )


def _ratios(rows: list[list[object]]) -> str:
    headers = ("way", "trials", "seconds", "times the bare work", "least", "most")
    return tabulate(rows, headers=headers, floatfmt=("", "", ".1f", ".3f", ".3f", ".3f"), tablefmt="github")


def main() -> int:
    """Measure, print, and fail beyond the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    ThreadSetting(1).apply()
    load_installed()
    the_nursery(PACKAGES).start()
    tiny_rows = tiny(options.repeats)
    every = cells_of(*SLICE, seeds=(0,))
    quick = [cell for cell in cells_of(*QUICK, seeds=(0,)) if cell.row.name in QUICK_TECHNIQUES]
    slice_rows, quick_rows = compared(every, options.rounds), compared(quick, options.rounds)
    # Last, for from then on the contributor's file is one of all techniques.
    tiny_rows.append(stranger(options.repeats))
    text = page(tiny_rows, slice_rows, quick_rows)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    slow = [row[0] for row in tiny_rows if float(str(row[1])) > MOST_MS]
    slow += [row[0] for row in slice_rows[1:] if float(str(row[3])) > MOST_RATIO]
    slow += [f"{row[0]}, quick" for row in quick_rows[1:] if float(str(row[3])) > MOST_RATIO_QUICK]
    if slow:
        print(f"beyond the bounds: {', '.join(map(str, slow))}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
