"""What two workers gain: the same real trials run in one process, by ``-n 2``, and on Ray with two workers.

Run ``python benchmarks/scaling.py [--seeds N] [--write benchmarks/scaling.md]`` on an otherwise idle
machine. Every process computes with one thread. The start-up of each way is the time that it takes with a
single small trial a worker; the speed-up of the work leaves it out, that of the whole run does not. The
command fails where the ways do not give the same scores, or the work speeds up by less than the bound.
"""

from __future__ import annotations

import argparse
import os
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
HEADERS = ("way", "trials", "whole run s", "start-up s", "work s", "speed-up of the work", "of the whole run")


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


def measured(seeds: int) -> tuple[list[list[str]], float, bool]:
    """Return the rows of the table, the least speed-up of the work, and whether all scores agree."""
    chosen = ["--bench-model", MODEL, *(part for task in SLICE for part in ("--bench-task", task))]
    chosen += [part for name in TECHNIQUES for part in ("--bench-technique", name)]
    rows, least, agree, first = [], float("inf"), True, None
    for way, arguments in WAYS.items():
        start_up = run(*SMALL, "--bench-seeds", "2", *arguments)
        whole = run(*chosen, "--bench-seeds", str(seeds), *arguments)
        work = whole.seconds - (start_up.seconds - start_up.computed)
        first = first or (whole, work)
        gains = first[1] / work, first[0].seconds / whole.seconds
        least = least if first[0] is whole else min(least, gains[0])
        agree = agree and whole.scores == first[0].scores
        numbers = (whole.seconds, whole.seconds - work, work)
        rows.append(
            [way, str(len(whole.scores)), *(f"{n:.1f}" for n in numbers), *(f"{g:.2f}" for g in gains)]
        )
        print(*rows[-1], sep="  ", flush=True)
    return rows, least, agree


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="problems of each task")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows, least, agree = measured(options.seeds)
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    notes = (
        f"{len(TECHNIQUES)} techniques on {', '.join(SLICE)}, {MODEL}, {options.seeds} seeds, one thread a "
        f"process, on {os.cpu_count()} processors; load before the run {load:.1f}. The scores of all ways "
        f"are {'the same, bit for bit' if agree else 'NOT the same'}."
    )
    if options.write:
        command = f"python benchmarks/scaling.py --seeds {options.seeds} --write {options.write}"
        head = f"# What two workers gain\n\nWritten by `{command}`; do not edit it by hand.\n"
        options.write.write_text(f"{head}\n{table}\n\n{notes}\n", encoding="utf-8")
    print(f"\n{table}\n\n{notes}")
    if not agree or least < BOUND:
        print(f"the work must speed up by {BOUND} at least, with the same scores", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
