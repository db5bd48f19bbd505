"""Programs and induction planted in every kind of transformer: certified or not, and found or not.

Run ``python benchmarks/programs.py [--programs N] [--kind KIND] [--write benchmarks/programs.md]``. For
each host: how many random programs are certified, the lowest share of fresh inputs on which the
network agrees with the interpreter, and the area under the ROC curve of EAP-IG and of guessing (the
mean of 16 draws a program) over the planted edges.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from types import MappingProxyType

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
HOSTS = MappingProxyType(
    {
        "native (LayerNorm)": ("native-900k", ("program", "induction")),
        "native (RMSNorm, RoPE, GQA)": ("native-rope-1m", ("program", "induction")),
        "gpt2": ("gpt2-random-6m", ("program", "induction")),
        "llama": ("llama-random-6m", ("program", "induction")),
        "qwen2": ("qwen2-random-6m", ("program", "induction")),
        "neox": ("neox-random-5m", ("program", "induction")),
        "vit": ("vit-slim-200k", ("visual_program", "visual_induction")),
    }
)
HEADERS = (
    "host", "model", "task", "certified", "lowest behaviour", "EAP-IG AUROC", "lowest", "guessing AUROC"
)  # fmt: skip


def trials(task_name: str, model: str, count: int) -> list[Trial]:
    """Score EAP-IG on a task's problems, one a seed."""
    task = CATALOGUE.tasks[f"circuits/{task_name}"]
    grid = Grid(
        techniques=[CATALOGUE.techniques["circuits/eap_ig"]],
        tasks=[task],
        specs=[MODELS.registry().get(model)],
        seeds=range(count),
        floors={"circuits": CATALOGUE.floor_of("circuits")},
    )

    def here() -> object:
        return provenance(device="cpu", threads=1, project=ROOT)

    runner = Runner(opener=MODELS.open, run="programs", provenance=here)
    cells = [cell for cell in grid.cells if cell.row.role == "technique"]
    found = [runner.run(cell).trial for cell in cells if cell.row.name != CEILING]
    runner.close()
    return found


def row(kind: str, model: str, task: str, count: int) -> list[object]:
    """Return one row of the table."""
    found = trials(task, model, count)
    for trial in found:
        if trial.status != "ok":
            print(f"  {task} on {model}, seed {trial.seed}: {trial.reason}", file=sys.stderr, flush=True)
    good = [trial for trial in found if trial.status == "ok"]
    share = f"{len(good)} of {len(found)}"
    if not good:
        return [kind, model, task, share, "-", "-", "-", "-"]
    found_by = [trial.scores["auroc"] for trial in good]
    guessed = statistics.fmean(trial.floor_scores["auroc"] for trial in good)
    behaviour = min(trial.certificate["behaviour"].value for trial in good)
    return [
        kind, model, task, share, f"{behaviour:.3f}", f"{statistics.fmean(found_by):.3f}",
        f"{min(found_by):.3f}", f"{guessed:.3f}",
    ]  # fmt: skip


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=20, help="programs a host")
    parser.add_argument("--kind", default="", help="hosts whose name or model holds this text")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    load_installed()
    for file in task_files([ROOT / "tasks"]):
        load_tasks(file)
    rows = []
    for kind, (model, tasks) in HOSTS.items():
        for task in tasks:
            if options.kind in f"{kind} {model}":
                count = options.programs if "program" in task else max(3, options.programs // 4)
                rows.append(row(kind, model, task, count))
                print(*rows[-1], sep="  ", flush=True)
    table = tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)
    command = f"python benchmarks/programs.py --programs {options.programs}"
    if options.write:
        command += f" --write {options.write}"
        text = f"# Programs in every kind of transformer\n\nWritten by `{command}`; do not edit it by hand.\n"
        options.write.write_text(f"{text}\n{table}\n", encoding="utf-8")
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
