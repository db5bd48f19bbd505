"""Is exact patching better than EAP-IG, that than EAP, and that than no corrupted input? Published: yes.

Seeds are spread over planted circuits of at least five edges, none of them an embedding and an MLP alone. The
differences of scores are paired by circuit. Beside what the track grades, CPR and CMD of MIB are measured on
each circuit: the areas under f and under |1 - f| over the share of edges that are kept, where f = (m(C) -
m(none)) / (m(all) - m(none)), m is the mean metric with all other edges resampled, and C holds the edges of
largest absolute score, for both alike. Since f + |1 - f| is never below one, their sum is not either, unless
the two were measured on different circuits.
"""

from __future__ import annotations

import time
from itertools import pairwise

from interp_bench.tracks.circuits import TRACK, CircuitProblem, EdgeScores

from .orderings import Always, Ordering, Relation
from .plants import certified, technique
from .sections import Job, Measured, Section, scores

CELLS = (
    ("induction", "native-30k"),
    ("induction", "native-150k"),
    ("ioi", "native-150k"),
    ("greater_than", "native-150k"),
    ("duplicate_token", "native-150k"),
    ("bracket_depth", "native-150k"),
    ("program", "native-150k"),
)
TECHNIQUES = ("activation_patching", "eap_ig", "eap", "gradient_x_activation", "weight_norm", "random")
LEAST_EDGES = 5
SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def measure(job: Job) -> list[Measured]:
    """Score every technique on the circuits of one task and network."""
    task, host = job.cell
    found: list[Measured] = []
    for seed, planted in certified(f"circuits/{task}", host, job.seeds):
        if len(planted.truth.edges) < LEAST_EDGES:
            continue
        for name in TECHNIQUES:
            begun = time.process_time()
            answer = technique(f"circuits/{name}").function(planted.problem)
            seconds = time.process_time() - begun
            graded = TRACK.score(planted.problem, planted.truth, answer)
            areas = faithfulness_areas(planted.problem, answer)
            found += scores(name, f"{task}/{host}/{seed}", {**graded, **areas, "seconds": seconds}.items())
    return found


def faithfulness_areas(problem: CircuitProblem, answer: EdgeScores, n_pairs: int = 8) -> dict[str, float]:
    """Return CPR, CMD (Mueller et al. 2025, MIB, section 3) and their sum, over ten shares of edges."""
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
    cpr, cmd = area(f), area([abs(1 - x) for x in f])
    return {"cpr": cpr, "cmd": cmd, "cpr + cmd": cpr + cmd}


def area(values: list[float]) -> float:
    """Return the area by trapezoids over ``SHARES``."""
    steps = zip(pairwise(SHARES), pairwise(values), strict=True)
    return sum((end - start) * (a + b) / 2 for (start, end), (a, b) in steps)


_NOT_RANDOM = (
    "The published figures are not alike either, 0.842 against 0.493 for nodes. What is planted writes more "
    "than the random rest of these hosts does: the norms of weights alone (weight_norm, which was not "
    "published) are far above chance too, most of all by AUROC. A technique that looks at activations sees "
    "that without a corrupted input."
)


def _orderings(metric: str, published: tuple[str, str, str, str]) -> tuple[Ordering, ...]:
    pairs: tuple[tuple[str, Relation, str, str], ...] = (
        ("activation_patching", ">=", "eap_ig", ""),
        ("eap_ig", ">=", "eap", ""),
        ("eap", ">", "gradient_x_activation", ""),
        ("gradient_x_activation", "~", "random", _NOT_RANDOM),
    )
    return tuple(
        Ordering(
            metric=metric,
            first=first,
            second=second,
            relation=relation,
            published=values,
            explained=explained,
        )
        for (first, relation, second, explained), values in zip(pairs, published, strict=True)
    )


SECTION = Section(
    name="circuits",
    title="Edge scores on planted circuits",
    source="Hanna et al. 2024, Syed et al. 2023, and a re-run of InterpBench on 84 models (edge AUROC, "
    "means; those of patching and of gradient x activation are of nodes)",
    scale=f"Here planted circuits of {LEAST_EDGES} edges and more in networks of 30 and 150 thousand "
    "parameters; not worse (>=) and alike (~) allow 0.05.",
    unit="circuit",
    cells=CELLS,
    brief_cells=1,
    seeds=7,
    measure=measure,
    metrics=(("", ("average_precision", "auroc", "cpr", "cmd", "seconds")),),
    statements=(
        *_orderings("auroc", ("0.990, 0.894", "0.894, 0.868", "0.868, 0.842", "0.842, 0.493")),
        *_orderings("average_precision", ("", "", "", "")),
        Always(metric="cpr + cmd", least=1.0, published="no f + abs(1 - f) is below 1"),
    ),
    techniques=tuple(f"circuits/{name}" for name in TECHNIQUES),
)
