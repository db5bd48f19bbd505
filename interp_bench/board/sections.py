"""The sections of the leaderboard page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from interp_bench.analysis.calibration import Calibration
from interp_bench.analysis.cells import Cell
from interp_bench.analysis.certificates import CheckSummary, Planting
from interp_bench.analysis.controls import FALSE, FalseDiscovery
from interp_bench.analysis.outcomes import Outcome
from interp_bench.analysis.reach import WORKS, Reach
from interp_bench.analysis.standings import Standing
from interp_bench.board import figures
from interp_bench.board.pipes import table
from interp_bench.harness.trial import CONTROLS, Status, Trial

REACH_LEGEND = (
    "Parameters of the smallest and the largest model of a ladder on which the technique works: `..` on all "
    "in between, `~` with gaps, `none` on no model, `?` where one seed decides nothing. The edge is where it "
    "stops working upwards: between these sizes. Where it works on the largest model, no edge was seen. "
    "A trial that failed counts as skill 0."
)


def track_section(name: str, rows: Sequence[Standing], cells: Sequence[Cell]) -> str:
    """Return one track: standings, a matrix of models and techniques for each task, reach."""
    parts = [
        f"## {name.capitalize()}",
        f"Skill is computed from {figures.primary_text(cells)}. {_counting(rows)}",
        _standings(rows, cells),
    ]
    order = [row.technique for row in rows]
    for task in sorted({cell.task for cell in cells}):
        parts += [f"### {name}/{task}", _matrix(order, [cell for cell in cells if cell.task == task])]
    reach = _reach(rows)
    if reach:
        parts += [f"### Reach in {name}", reach]
    return "\n\n".join(parts)


def calibration_section(found: Calibration) -> str:
    """Return the rows of truth and guessing of every cell, and whether they are where they must be."""
    truths = {row.cell.place: row for row in found.ceilings}
    guesses = {row.cell.place: row for row in found.floors}
    cells = [*(row.cell for row in found.ceilings), *(row.cell for row in found.floors)]
    size = {cell.place: cell.params for cell in cells}
    body = []
    for place in sorted(size, key=lambda p: (p[0], p[1], size[p], p[2])):
        truth, guess = truths.get(place), guesses.get(place)
        body.append(
            [
                f"{place[0]}/{place[1]}",
                place[2],
                repr(truth.worst) if truth else figures.NOTHING,
                figures.interval_text(guess.alone) if guess else figures.NOTHING,
                figures.interval_text(guess.together) if guess else figures.NOTHING,
                "yes" if all(row.holds for row in (truth, guess) if row) else "**no**",
            ]
        )
    alone = sum(row.holds_alone for row in found.floors)
    together = sum(row.holds for row in found.floors)
    text = (
        f"The truth must score exactly 1 and guessing must hold 0 in its interval. "
        f"{sum(row.holds for row in found.ceilings)} of {len(found.ceilings)} rows of the truth are 1. "
        f"{together} of {len(found.floors)} rows of guessing hold 0 in intervals that are to hold together "
        f"(family-wise 95%, Bonferroni); {alone} do so each by itself, where 1 in 20 is expected not to."
    )
    headers = ["task", "model", "truth (worst seed)", "guessing", "guessing, family-wise", "holds"]
    return "\n\n".join(["## Calibration", text, table(headers, body)])


def certificates_section(plantings: Sequence[Planting], checks: Sequence[CheckSummary]) -> str:
    """Return how many problems were proved, and the closest check of each kind."""
    proved = table(
        ["task", "problems planted", "certified"],
        [[f"{p.track}/{p.task}", str(p.planted), str(p.certified)] for p in plantings],
    )
    closest = table(
        ["task", "check", "problems", "checks", "closest value", "bound"],
        [
            [
                f"{check.track}/{check.task}",
                check.check,
                str(check.problems),
                str(check.count),
                f"{check.worst.value:.4g}",
                f"{check.worst.relation} {check.worst.bound:g}",
            ]
            for check in checks
        ],
    )
    text = "Every scored problem passed every check; the closest value is the one with the least margin."
    return "\n\n".join(["## Certificates", proved, text, closest])


def controls_section(found: Mapping[str, Sequence[FalseDiscovery]]) -> str:
    """Return what techniques report of plants that they were not shown, one table a track."""
    text = (
        "A negative control is a problem without its answer: `unplanted` shows the host as it was before "
        "planting, `rerandomised` the planted network with the elements of every weight permuted, `shuffled` "
        "the planted network with a question that it does not answer (other labels, outputs or outcomes). "
        "What a technique answers is graded against the plant all the same, with the floor and the "
        "ceiling of the planted problem. So skill above 0 is a false discovery: it would have said the "
        f"same without the mechanism. A technique **finds what is not there** where the lower bound is "
        f"above {FALSE:g}. `planted` is its mean skill on the same problems as they were planted. No other "
        "table counts these trials; intervals are over trials, and `trials` says how many gave an answer "
        "of those that were asked."
    )
    parts = ["## False discovery", text]
    for track, rows in found.items():
        columns = [control for control in CONTROLS if any(control in row.skills for row in rows)]
        body = figures.discovery_rows(rows, columns, "**finds what is not there**")
        parts += [
            f"### Controls of {track}",
            table(["technique", "planted", *columns, "trials", "verdict"], body),
        ]
    return "\n\n".join(parts)


def outcomes_section(statuses: Mapping[Status, int], outcomes: Sequence[Outcome]) -> str:
    """Return how many trials ended how, and every reason."""
    text = (
        "What `failed`, `timed_out`, `out_of_memory` and `crashed` is the technique's to answer for, and "
        "counts as skill 0 wherever techniques are ranked. What was `skipped`, as the technique does not "
        "apply or the model is not here, and what is `invalid`, as its problem could not be certified, "
        "counts nowhere."
    )
    counts = table(["status", "trials"], [[status, str(count)] for status, count in statuses.items()])
    parts = ["## Outcomes", text, counts]
    if outcomes:
        parts.append(
            table(
                ["status", "trials", "track", "techniques", "models", "reason"],
                [
                    [
                        outcome.status,
                        str(outcome.trials),
                        outcome.track,
                        figures.names_text(outcome.techniques),
                        figures.names_text(outcome.models),
                        outcome.reason,
                    ]
                    for outcome in outcomes
                ],
            )
        )
    return "\n\n".join(parts)


def models_section(trials: Iterable[Trial]) -> str:
    """Return every model that was tried, by modality and size."""
    rows = {(t.modality, t.params, t.model, t.kind, t.ladder, t.model_revision) for t in trials}
    body = [
        [model, modality, kind, ladder or figures.NOTHING, f"{params:,}", f"`{revision}`"]
        for modality, params, model, kind, ladder, revision in sorted(rows, key=lambda r: (r[0] != "lm", *r))
    ]
    headers = ["model", "modality", "kind", "ladder", "parameters", "revision"]
    return "\n\n".join(["## Models", table(headers, body)])


def _standings(rows: Sequence[Standing], cells: Sequence[Cell]) -> str:
    modalities = sorted({modality for row in rows for modality in row.by_modality}, reverse=True)
    failed = any(row.failures for row in rows)
    headers = ["technique", "skill", *(["ranked"] if failed else []), *modalities, "models", "cells"]
    headers += ["seconds", "forwards", "backwards", "peak MiB", "failed", "version", "arguments"]
    return table(headers, [_standing(row, modalities, cells, failed=failed) for row in rows])


def _counting(rows: Sequence[Standing]) -> str:
    """Say what the rows of a track rest on."""
    text = "`cells` is on how many cells of a task and a model a row rests, of those that the track has."
    if not any(row.failures for row in rows):
        return f"{text} No trial failed here."
    return (
        f"{text} `failed` trials are no part of `skill`; `ranked`, by which rows are ordered, and the "
        "columns of modalities count each as 0, the floor. In `cells` a `+` comes before those where every "
        "trial failed."
    )


def _standing(row: Standing, modalities: Sequence[str], cells: Sequence[Cell], *, failed: bool) -> list[str]:
    cost = row.cost
    costs = (
        [
            figures.seconds_text(cost.seconds),
            f"{cost.forwards:g}",
            f"{cost.backwards:g}",
            f"{cost.peak_memory_mb:.0f}",
        ]
        if cost
        else [figures.NOTHING] * 4
    )
    trials = [trial for cell in cells if cell.technique == row.technique for trial in cell.trials]
    versions = sorted({trial.technique_version for trial in trials})
    arguments = sorted({json.dumps(trial.technique_arguments, sort_keys=True) for trial in trials} - {"{}"})
    return [
        row.technique,
        figures.interval_text(row.skill),
        *([figures.interval_text(row.ranked)] if failed else []),
        *(figures.interval_text(row.by_modality.get(modality)) for modality in modalities),
        str(row.models),
        figures.cells_text(row),
        *costs,
        str(row.failures),
        ", ".join(map(str, versions)),
        "; ".join(f"`{text[1:-1]}`" for text in arguments),
    ]


def _matrix(techniques: Sequence[str], cells: Sequence[Cell]) -> str:
    """One row a model, by modality, ladder and size; one column a technique, as in the standings."""
    found = {(cell.model, cell.technique): cell for cell in cells}
    models = {cell.model: cell for cell in cells}
    order = sorted(models.values(), key=lambda c: (c.modality != "lm", c.ladder, c.params, c.model))
    columns = [name for name in techniques if any(cell.technique == name for cell in cells)]
    body = [
        [
            cell.model,
            cell.ladder or figures.NOTHING,
            figures.params_text(cell.params),
            *(_score(found.get((cell.model, name))) for name in columns),
        ]
        for cell in order
    ]
    return table(["model", "ladder", "parameters", *columns], body)


def _score(cell: Cell | None) -> str:
    if cell is None:
        return figures.NOTHING
    if cell.ranked is None:
        return ", ".join(cell.statuses)
    text = figures.interval_text(cell.ranked)
    if cell.ranked.low >= WORKS:
        text = f"**{text}**"
    unanswered: dict[Status, int] = {name: count for name, count in cell.statuses.items() if name != "ok"}
    return f"{text} ({figures.count_text(unanswered)})" if unanswered else text


def _reach(rows: Sequence[Standing]) -> str:
    """One row a ladder, one column a technique."""
    techniques = [row for row in rows if row.role == "technique" and row.reaches]
    ladders = sorted({reach.ladder for row in techniques for reach in row.reaches})
    if not ladders:
        return ""
    found = {(reach.ladder, row.technique): reach for row in techniques for reach in row.reaches}
    body = [
        [ladder, *(_reached(found.get((ladder, row.technique))) for row in techniques)] for ladder in ladders
    ]
    return REACH_LEGEND + "\n\n" + table(["ladder", *(row.technique for row in techniques)], body)


def _reached(reach: Reach | None) -> str:
    if reach is None:
        return figures.NOTHING
    text = figures.reach_text(reach)
    return text if reach.edge is None else f"{text}, edge {figures.edge_text(reach)}"
