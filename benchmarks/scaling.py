"""What two workers gain: the same real trials run in one process, by ``-n 2``, and on Ray with two workers.

Run ``python benchmarks/scaling.py [--rounds N] [--seeds N] [--write benchmarks/scaling.md]`` on an
otherwise idle machine. Every process computes with one thread. The start-up of each way is the time that
it takes with a single small trial a worker; the speed-up of the work leaves it out, that of the whole run
does not. The ways take turns, and a number is the median of all rounds: a single start-up varies by
seconds. The command fails where the ways do not give the same scores, or the work speeds up by less than
the bound.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tabulate import tabulate

from interp_bench.harness.store import Store

ROOT = Path(__file__).resolve().parents[1]
WAYS = MappingProxyType(
    {"one process": (), "-n 2": ("-n", "2"), "Ray, two workers": ("--bench-executor", "ray:2")}
)
SLICE = ("dictionary", "marker_concept", "induction")
# Always the same ones, so that the page compares with earlier ones.
TECHNIQUES = (
    "ceiling", "random", "eap", "eap_ig", "gradient_x_activation", "activation_patching", "fast_ica",
    "nmf", "pca", "l1_autoencoder", "topk_autoencoder", "logistic_probe", "mean_difference", "das",
)  # fmt: skip
MODEL = "native-900k"
SMALL = ("--bench-model", "native-30k", "--bench-task", "dictionary", "--bench-technique", "pca")
BOUND = 1.8
HEADERS = (
    "way", "trials", "whole run s", "start-up s", "work s", "least to most", "speed-up of the work",
    "of the whole run",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of pytest.

    Attributes:
        seconds: from start to end, pytest's own start included.
        scores: all scores, floors and ceilings by key.
        computed: seconds that the trials took, planting included, over all processes.
    """

    seconds: float
    scores: dict[str, tuple[object, ...]]
    computed: float


def run(*arguments: str) -> Run:
    """Run pytest with a store of its own.

    Raises:
        SystemExit: the run failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").touch()
        store = folder / "store.sqlite3"
        command = [sys.executable, "-m", "pytest", "--bench", str(ROOT / "tasks"), *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--bench-store", str(store)],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{done.stdout}{done.stderr}\n{' '.join(command)} failed")
        with Store.open(store) as opened:
            trials = opened.trials()
    plants = {(trial.task_id, trial.model, trial.seed): trial.plant_seconds for trial in trials}
    return Run(
        seconds=seconds,
        scores={t.key: (t.status, t.scores, t.skill, t.floor_scores, t.ceiling_scores) for t in trials},
        computed=sum(trial.seconds + trial.grade_seconds for trial in trials) + sum(plants.values()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a way took in one round.

    Attributes:
        whole: seconds of the whole run.
        start_up: seconds that do not depend on the work.
        scores: of the whole run.
    """

    whole: float
    start_up: float
    scores: dict[str, tuple[object, ...]]

    @property
    def work(self) -> float:
        """Return the seconds that the work took."""
        return self.whole - self.start_up


def measure(arguments: tuple[str, ...], workers: int, seeds: int) -> Measured:
    """Run one way once, and once more with next to nothing to do."""
    chosen = ["--bench-model", MODEL, *(part for task in SLICE for part in ("--bench-task", task))]
    chosen += [part for name in TECHNIQUES for part in ("--bench-technique", name)]
    small = run(*SMALL, "--bench-seeds", "2", *arguments)
    whole = run(*chosen, "--bench-seeds", str(seeds), *arguments)
    return Measured(
        whole=whole.seconds, start_up=small.seconds - small.computed / workers, scores=whole.scores
    )


def tabulated(taken: dict[str, list[Measured]]) -> tuple[list[list[str]], float]:
    """Return the rows of the table, and the least speed-up of the work."""
    rows, gains = [], []
    first = next(iter(taken.values()))
    for way, rounds in taken.items():
        whole, start_up, work = (
            statistics.median(getattr(one, name) for one in rounds) for name in ("whole", "start_up", "work")
        )
        works = sorted(one.work for one in rounds)
        gain = statistics.median(one.work for one in first) / work
        gains += [gain] if WAYS[way] else []
        of_whole = statistics.median(one.whole for one in first) / whole
        numbers = [f"{n:.1f}" for n in (whole, start_up, work)]
        spread = f"{works[0]:.1f} to {works[-1]:.1f}"
        rows.append([way, str(len(rounds[0].scores)), *numbers, spread, f"{gain:.2f}", f"{of_whole:.2f}"])
    return rows, min(gains)


def measured(rounds: int, seeds: int) -> dict[str, list[Measured]]:
    """Return what each way took, round by round."""
    taken: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for number in range(1, rounds + 1):
        for way, arguments in WAYS.items():
            one = measure(arguments, 2 if arguments else 1, seeds)
            taken[way].append(one)
            print(
                f"round {number}, {way}: whole {one.whole:.1f} s, start-up {one.start_up:.1f} s, "
                f"work {one.work:.1f} s", flush=True,
            )  # fmt: skip
    return taken


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured")
    parser.add_argument("--seeds", type=int, default=10, help="problems of each task")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    taken = measured(options.rounds, options.seeds)
    rows, least = tabulated(taken)
    all_scores = [one.scores for rounds in taken.values() for one in rounds]
    agree = all(scores == all_scores[0] for scores in all_scores)
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    notes = (
        f"{len(TECHNIQUES)} techniques on {', '.join(SLICE)}, {MODEL}, {options.seeds} seeds, one thread a "
        f"process, on {os.cpu_count()} processors; medians of {options.rounds} rounds; load before the first "
        f"{load:.1f}. The scores of all ways are {'the same, bit for bit' if agree else 'NOT the same'}."
    )
    if options.write:
        command = (
            f"python benchmarks/scaling.py --rounds {options.rounds} --seeds {options.seeds} "
            f"--write {options.write}"
        )
        head = f"# What two workers gain\n\nWritten by `{command}`; do not edit it by hand.\n"
        options.write.write_text(f"{head}\n{table}\n\n{notes}\n", encoding="utf-8")
    print(f"\n{table}\n\n{notes}")
    if not agree or least < BOUND:
        print(f"the work must speed up by {BOUND} at least, with the same scores", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
