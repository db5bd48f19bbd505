"""Is exact patching better than EAP-IG, that than EAP, and that than no corrupted input? Published: yes.

Run ``python benchmarks/reproduce/circuits.py [--seeds N] [--write benchmarks/reproduce/circuits.md]``. Seeds
are spread over planted circuits of at least five edges, none of them an embedding and an MLP alone. The
differences of scores are paired by circuit. Beside what the track grades, CPR and CMD of MIB are measured on
each circuit: the areas under f and under |1 - f| over the share of edges that are kept, where f = (m(C) -
m(none)) / (m(all) - m(none)), m is the mean metric with all other edges resampled, and C holds the edges of
largest absolute score, for both alike. Since f + |1 - f| is never below one, their sum is not either, unless
the two were measured on different circuits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tabulate import tabulate

from interp_bench.analysis.stats import Interval, t_interval
from interp_bench.errors import PlantingError
from interp_bench.harness.discovery import load_installed, load_tasks
from interp_bench.harness.models import MODELS
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import TRACK, CircuitProblem, EdgeScores

TASKS = Path(__file__).resolve().parents[2] / "tasks" / "circuits"
SOURCE = "Hanna et al. 2024; Syed et al. 2023; InterpBench re-run on 84 models (edge AUROC, means)"
CELLS = (
    ("induction", "native-30k"),
    ("induction", "native-150k"),
    ("ioi", "native-150k"),
    ("greater_than", "native-150k"),
    ("duplicate_token", "native-150k"),
    ("bracket_depth", "native-150k"),
    ("program", "native-150k"),
)
PUBLISHED = {
    "activation_patching": "0.990 (nodes)",
    "eap_ig": "0.894",
    "eap": "0.868",
    "gradient_x_activation": "0.842 (nodes)",
    "random": "0.493",
}
ORDERINGS = (
    ("activation_patching", ">=", "eap_ig"),
    ("eap_ig", ">=", "eap"),
    ("eap", ">", "gradient_x_activation"),
    ("gradient_x_activation", "~", "random"),
)
MARGIN = 0.05
"""A technique is not worse, or alike, when the interval of the difference says so up to this."""
SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
METRICS = ("average_precision", "auroc", "cpr", "cmd")


def measure(seeds: int) -> list[dict[str, Any]]:
    """Return a row for each task, network, seed and technique.

    Args:
        seeds: plants a task and network, two or more.

    Returns:
        Rows with ``task``, ``model``, ``seed``, ``technique``, the scores of the track, ``cpr``, ``cmd``
        and ``seconds`` of one processor.
    """
    load_installed()
    tasks = {t.name: t for file in sorted(TASKS.glob("bench_*.py")) for t in load_tasks(file)}
    rows = []
    for name, host in CELLS:
        for seed, planted in _certified(tasks[name], host, seeds):
            for technique in PUBLISHED:
                begun = time.process_time()
                answer = CATALOGUE.techniques[f"circuits/{technique}"].function(planted.problem)
                seconds = time.process_time() - begun
                score = TRACK.score(planted.problem, planted.truth, answer)
                areas = faithfulness_areas(planted.problem, answer)
                about = {"task": name, "model": host, "seed": seed, "technique": technique}
                rows.append({**about, **score, **areas, "seconds": seconds})
            print(name, host, seed, file=sys.stderr, flush=True)
    return rows


def _certified(task: Any, host: str, seeds: int) -> Iterator[tuple[int, Planted[Any, Any]]]:
    for seed in range(seeds):
        try:
            planted = task.function(MODELS.open(MODELS.registry().get(host), "cpu"), seed)
        except PlantingError:
            continue
        if planted.certificate.passed and len(planted.truth.edges) >= 5:
            yield seed, planted


def faithfulness_areas(problem: CircuitProblem, answer: EdgeScores, n_pairs: int = 8) -> dict[str, float]:
    """Return CPR and CMD (Mueller et al. 2025, MIB, section 3) over ten shares of edges and none."""
    problem, graph = problem.first(n_pairs), problem.graph
    replacement = problem.source_outputs(problem.corrupted)
    order = (
        answer.scores.detach().abs().cpu().masked_fill(~graph.valid, -1).flatten().argsort(descending=True)
    )
    metric = []
    for share in SHARES:
        cut = graph.valid.clone().flatten()
        cut[order[: round(share * graph.n_edges)]] = False
        metric.append(float(problem.patched_metric(replacement, cut.view(graph.shape)).mean()))
    f = [(m - metric[0]) / (metric[-1] - metric[0]) for m in metric]
    return {"cpr": area(f), "cmd": area([abs(1 - x) for x in f])}


def area(values: list[float]) -> float:
    """Return the area by trapezoids over ``SHARES``."""
    steps = zip(pairwise(SHARES), pairwise(values), strict=True)
    return sum((end - start) * (a + b) / 2 for (start, end), (a, b) in steps)


def judged(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each ordering and metric of the track: difference, interval and verdict."""
    found = []
    for metric in ("average_precision", "auroc"):
        for first, relation, second in ORDERINGS:
            a, b = ([r[metric] for r in rows if r["technique"] == t] for t in (first, second))
            gap = t_interval([x - y for x, y in zip(a, b, strict=True)])
            text = f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
            found.append([metric, f"{first} {relation} {second}", text, _verdict(relation, gap)])
    return found


def _verdict(relation: str, gap: Interval) -> str:
    if relation == "~":
        if gap.low >= -MARGIN and gap.high <= MARGIN:
            return "holds"
        return "does not hold" if gap.low > MARGIN or gap.high < -MARGIN else "undecided"
    bar = 0.0 if relation == ">" else -MARGIN
    return "holds" if gap.low > bar else "does not hold" if gap.high < bar else "undecided"


def means(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each technique: published value, mean and interval of every metric."""
    found = []
    for technique, published in PUBLISHED.items():
        mine = [r for r in rows if r["technique"] == technique]
        cells = [t_interval([r[metric] for r in mine]) for metric in METRICS]
        found.append([technique, published, *(f"{c.mean:.3f} [{c.low:.3f}, {c.high:.3f}]" for c in cells)])
    return found


def page(rows: list[dict[str, Any]], seeds: int, where: Path | None) -> str:
    """Return the Markdown page."""
    circuits = len({(r["task"], r["model"], r["seed"]) for r in rows})
    least = min(r["cpr"] + r["cmd"] for r in rows)
    command = f"python benchmarks/reproduce/circuits.py --seeds {seeds}" + (
        f" --write {where}" if where else ""
    )
    heads = ("technique", "published edge AUROC", *METRICS)
    first = tabulate(means(rows), headers=heads, tablefmt="github", disable_numparse=True)
    heads = ("metric", "published", "paired difference", "here")
    second = tabulate(judged(rows), headers=heads, tablefmt="github", disable_numparse=True)
    return (
        f"# Published orderings of circuit techniques\n\nWritten by `{command}`; do not edit it by hand.\n\n"
        f"Published: {SOURCE}. Here {circuits} planted circuits, 95% t-intervals over circuits; not worse "
        f"(>=) and alike (~) allow {MARGIN}.\n\n{first}\n\n{second}\n\n"
        f"area(CPR) + area(CMD) is at least {least:.4f} over {len(rows)} answers; less is a mistake.\n"
    )


def main() -> int:
    """Print or write the tables; fails where CPR and CMD do not add up to one or more."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=7, help="plants a task and network")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    rows = measure(options.seeds)
    text = page(rows, options.seeds, options.write)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    return 0 if min(r["cpr"] + r["cmd"] for r in rows) >= 1 - 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
