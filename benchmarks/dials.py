"""What each dial of difficulty does: one technique's skill with the dial at an easy and at a hard value.

Run ``python benchmarks/dials.py [--seeds N] [--only TEXT] [--write docs/dials.md]``. Every problem is
certified, and every skill is computed by the code that scores a benchmark run: 0 is guessing, 1 the
truth. The command fails unless at least six dials lower their technique by 0.3 or more while the
truth keeps skill 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tabulate import tabulate

from interp_bench.harness.discovery import load_installed, load_tasks
from interp_bench.harness.folders import task_files
from interp_bench.harness.grid import CEILING, Grid
from interp_bench.harness.models import MODELS
from interp_bench.harness.provenance import provenance
from interp_bench.harness.runner import Runner
from interp_bench.harness.trial import Trial
from interp_bench.tracks.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
ENOUGH, DROP = 6, 0.3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A dial, two of its values, and the technique that feels the difference.

    Attributes:
        task: ``track/task``.
        dial: name of the task's argument.
        easy, hard: its two values.
        model: id of the host.
        technique: bare name.
        given: other arguments of the task that both share.
    """

    task: str
    dial: str
    easy: Any
    hard: Any
    model: str
    technique: str
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)


TURNS: tuple[Turn, ...] = (
    Turn(
        task="features/dictionary",
        dial="snr",
        easy=2.0,
        hard=0.2,
        model="native-150k",
        technique="topk_autoencoder",
    ),
    Turn(
        task="concepts/marker_concept",
        dial="correlation",
        easy=0.25,
        hard=0.95,
        model="native-150k",
        technique="mean_difference",
    ),
    Turn(
        task="circuits/channel_conjunction",
        dial="saturation",
        easy=0.0,
        hard=1.0,
        model="resnet18",
        technique="eap",
    ),
    Turn(
        task="circuits/induction",
        dial="rho",
        easy=0.5,
        hard=0.15,
        model="native-150k",
        technique="weight_composition",
    ),
    Turn(
        task="features/visual_dictionary",
        dial="ratio",
        easy=0.5,
        hard=8.0,
        model="vit-slim-200k",
        technique="topk_autoencoder",
    ),
    Turn(
        task="features/dictionary",
        dial="ratio",
        easy=0.5,
        hard=5.0,
        model="native-150k",
        technique="topk_autoencoder",
    ),
    Turn(
        task="features/dictionary",
        dial="hierarchy",
        easy=0.0,
        hard=0.66,
        model="native-150k",
        technique="topk_autoencoder",
        given={"snr": 1.0},
    ),
    Turn(
        task="features/visual_dictionary",
        dial="hierarchy",
        easy=0.0,
        hard=0.66,
        model="vit-slim-200k",
        technique="topk_autoencoder",
    ),
    Turn(
        task="features/dictionary",
        dial="magnitude_noise",
        easy=0.0,
        hard=1.0,
        model="native-150k",
        technique="topk_autoencoder",
        given={"snr": 1.0},
    ),
    Turn(
        task="features/dictionary",
        dial="p_hi",
        easy=0.08,
        hard=0.4,
        model="native-150k",
        technique="topk_autoencoder",
    ),
    Turn(
        task="attribution/token_evidence",
        dial="copies",
        easy=1,
        hard=4,
        model="native-150k",
        technique="occlusion",
    ),
    Turn(
        task="concepts/visual_concept",
        dial="correlation",
        easy=0.25,
        hard=0.95,
        model="vit-slim-200k",
        technique="mean_difference",
    ),
    Turn(
        task="triggers/universal_patch",
        dial="hidden",
        easy=False,
        hard=True,
        model="vit-slim-200k",
        technique="adversarial_patch",
    ),
    Turn(
        task="triggers/universal_tokens",
        dial="parts",
        easy=1,
        hard=3,
        model="native-150k",
        technique="greedy_coordinate_gradient",
    ),
    Turn(
        task="attribution/edge_rich_evidence",
        dial="white",
        easy=0.1,
        hard=0.6,
        model="convnext-slim-20k",
        technique="edge_detector",
    ),
    Turn(
        task="attribution/span_evidence",
        dial="copies",
        easy=1,
        hard=4,
        model="native-150k",
        technique="occlusion",
    ),
    Turn(
        task="concepts/decoy_concept",
        dial="decoy",
        easy=0.0,
        hard=3.0,
        model="native-150k",
        technique="logistic_probe",
        given={"correlation": 0.9},
    ),
    Turn(
        task="concepts/rotated_concept",
        dial="n_train",
        easy=512,
        hard=48,
        model="native-150k",
        technique="lda",
    ),
)


def trials(turn: Turn, value: Any, seeds: Sequence[int]) -> list[Trial]:
    """Score the technique and the truth with the dial at a value."""
    task = CATALOGUE.tasks[turn.task]
    dials = {**turn.given, turn.dial: value}
    unknown = dials.keys() - task.arguments.keys()
    if unknown:
        raise SystemExit(f"{turn.task} has no dial {', '.join(sorted(unknown))}")
    turned = dataclasses.replace(
        task,
        function=partial(task.function, **dials),
        arguments=MappingProxyType({**task.arguments, **dials}),
    )
    track = task.track.name
    grid = Grid(
        techniques=[CATALOGUE.techniques[f"{track}/{turn.technique}"]],
        tasks=[turned],
        specs=[MODELS.registry().get(turn.model)],
        seeds=seeds,
        floors={track: CATALOGUE.floor_of(track)},
    )
    runner = Runner(
        opener=MODELS.open, run="dials", provenance=partial(provenance, device="cpu", threads=1, project=ROOT)
    )
    found = [runner.run(cell).trial for cell in grid.cells if cell.row.name in (turn.technique, CEILING)]
    runner.close()
    for reason in {t.reason for t in found if t.reason}:
        print(f"  {turn.task} {turn.dial}={value}: {reason}", file=sys.stderr, flush=True)
    return found


def mean_skill(found: Sequence[Trial], row: str) -> tuple[float, int]:
    """Return the mean skill of a row over the seeds that were certified, and how many they are."""
    skills = [t.skill for t in found if t.technique == row and t.skill is not None]
    return (statistics.fmean(skills) if skills else float("nan")), len(skills)


def measure(turn: Turn, seeds: Sequence[int]) -> tuple[list[object], bool]:
    """Return the table's row of a dial, and whether it is hard enough with the truth at 1."""
    easy, hard = trials(turn, turn.easy, seeds), trials(turn, turn.hard, seeds)
    (high, n_high), (low, n_low) = mean_skill(easy, turn.technique), mean_skill(hard, turn.technique)
    ceilings = [mean_skill(found, CEILING)[0] for found in (easy, hard)]
    shared = "".join(f", {name}={value}" for name, value in turn.given.items())
    row = [
        turn.task, turn.model, f"{turn.dial}{shared}", f"{turn.easy} -> {turn.hard}", turn.technique,
        f"{high:.2f} -> {low:.2f}", f"{low - high:+.2f}", f"{min(ceilings):.2f}", f"{n_high}, {n_low}",
    ]  # fmt: skip
    passed = high - low >= DROP and min(ceilings) > 0.999 and min(n_high, n_low) >= 2
    return row, passed


HEADERS = (
    "task", "model", "dial", "easy -> hard", "technique", "skill", "change", "truth", "certified seeds"
)  # fmt: skip


def page(rows: Sequence[Sequence[object]], command: str) -> str:
    """Return the Markdown page."""
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    return (
        "# What the dials do\n\n"
        f"Written by `{command}`; do not edit it by hand. Each row turns one dial of a task from an easy to\n"
        "a hard value and gives the mean skill of one technique (0 is guessing, 1 is the truth) over the\n"
        "seeds whose problem was certified. The truth's own skill is the lower of the two settings.\n\n"
        f"{table}\n"
    )


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose task, dial or model holds this text")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    load_installed()
    for file in task_files([ROOT / "tasks"]):
        load_tasks(file)
    chosen = [t for t in TURNS if options.only in f"{t.task} {t.dial} {t.model}"]
    rows, n_passed = [], 0
    for turn in chosen:
        row, passed = measure(turn, range(options.seeds))
        print(*row, "" if passed else "(less than asked)", sep="  ", flush=True)
        rows.append(row)
        n_passed += passed
    command = f"python benchmarks/dials.py --seeds {options.seeds}"
    print("\n" + page(rows, command))
    if options.write:
        options.write.write_text(page(rows, f"{command} --write {options.write}"), encoding="utf-8")
    return 0 if options.only or n_passed >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
