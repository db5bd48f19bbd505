"""The table "which cliff does the gear work on", for the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp_bench.analysis.calibration import Calibration, CeilingRow, calibrate
from interp_bench.analysis.cells import FAILING, Cell, cells_of, newest, without_controls
from interp_bench.analysis.controls import FALSE, FalseDiscovery, false_discoveries_of
from interp_bench.analysis.outcomes import Outcome, outcomes_of
from interp_bench.analysis.reach import WORKS
from interp_bench.analysis.standings import Standing, standings_of
from interp_bench.analysis.stats import Interval
from interp_bench.board import columns, figures
from interp_bench.board.columns import WIDTH
from interp_bench.harness.trial import CONTROLS, Trial

__all__ = ["WIDTH", "summary"]

REASONS_SHOWN = 8

LEGEND = (
    "skill: 0 is guessing, 1 is the truth; mean over models with a 95% interval over the models' means.\n"
    f"reach: models of a ladder where the lower bound of skill over seeds is at least {WORKS:g}, by size:\n"
    "       a..b from smallest to largest, a~b with gaps, ? needs two seeds.\n"
    "cost:  median seconds, f forward and b backward passes.   cells: task x model scored, of the track's."
)

FAILED_LEGEND = (
    "failed: trials that broke, hung, crashed or ran out of memory. They are no part of skill; ranked,\n"
    "       which orders the rows, lm, image and reach count each as 0, the floor. What was skipped or\n"
    "       could not be certified counts nowhere. cells a+b: in b of them every trial failed."
)


CONTROLS_LEGEND = (
    "false discovery: skill of answers to problems from which the plant was taken away; above 0 a technique\n"
    "reports what it was not shown. unplanted: the host before planting; rerandomised: weights permuted;\n"
    f"shuffled: asked for something else. Marked where the lower bound is above {FALSE:g}.\n"
    "trials: those that gave an answer, of those asked; the others say nothing."
)


def summary(trials: Sequence[Trial]) -> str:
    """Return the tables of a run, one a track, at most ``WIDTH`` columns wide where names allow.

    Args:
        trials: any trials, in any order; the newest of each question counts.
    """
    answered = newest(trials)
    if not answered:
        return "no trials"
    kept = without_controls(answered)
    cells = cells_of(kept)
    tracks = [
        _track(name, rows, [cell for cell in cells if cell.track == name])
        for name, rows in standings_of(cells).items()
    ]
    failed = any(trial.status in FAILING for trial in kept)
    legend = f"{LEGEND}\n{FAILED_LEGEND}" if failed else LEGEND
    parts = [_headline(kept), *tracks, legend, _calibration(calibrate(cells))] if kept else []
    discoveries = false_discoveries_of(answered)
    if discoveries:
        parts.append(_controls(discoveries))
    outcomes = outcomes_of(answered)
    if outcomes:
        parts.append(_outcomes(outcomes))
    return "\n\n".join(parts)


def _headline(trials: Sequence[Trial]) -> str:
    counts = (
        (len(trials), "trial"),
        (len({trial.technique_id for trial in trials if trial.role == "technique"}), "technique"),
        (len({trial.task_id for trial in trials}), "task"),
        (len({trial.model for trial in trials}), "model"),
        (len({trial.seed for trial in trials}), "seed"),
    )
    return "which cliff does the gear work on?   " + ", ".join(figures.plural(*count) for count in counts)


def _track(name: str, rows: Sequence[Standing], cells: Sequence[Cell]) -> str:
    modalities = sorted({modality for row in rows for modality in row.by_modality}, reverse=True)
    shown = modalities if len(modalities) > 1 else []
    failed = any(row.failures for row in rows)
    skills = ["skill", *(["ranked"] if failed else []), *shown]
    headers = ["technique", *skills, "cost", "cells", *(["failed"] if failed else [])]
    body = [_row(row, shown, failed=failed, bounds=True) for row in rows]
    if columns.width(headers, body) + 2 + columns.LEAST > WIDTH:
        body = [_row(row, shown, failed=failed, bounds=False) for row in rows]
    room = columns.room(headers, body)
    for line, row in zip(body, rows, strict=True):
        line.insert(1 + len(skills), _reach(row, room))
    headers.insert(1 + len(skills), "reach")
    tasks = sorted({cell.task for cell in cells})
    title = f"{name}: skill from {figures.primary_text(cells)} on {figures.names_text(tasks)}"
    if len(modalities) == 1:
        title += f", {modalities[0]} models only"
    return f"{title}\n{columns.table(headers, body)}"


def _row(row: Standing, modalities: Sequence[str], *, failed: bool, bounds: bool) -> list[str]:
    """Return the cells of a row but for reach; modalities go without their bounds where there is no room."""
    text = figures.interval_text if bounds else _mean
    cells = [
        row.technique,
        figures.interval_text(row.skill),
        *([_mean(row.ranked)] if failed else []),
        *(text(row.by_modality.get(modality)) for modality in modalities),
        figures.cost_text(row.cost),
        figures.cells_text(row),
    ]
    return [*cells, str(row.failures or "")] if failed else cells


def _mean(interval: Interval | None) -> str:
    return figures.NOTHING if interval is None else figures.skill_text(interval.mean)


def _reach(row: Standing, room: int) -> str:
    """List the ladders it works on, then those it does not, in lines of at most ``room`` where possible."""
    if not row.reaches:
        return figures.NOTHING
    rungs = [rung for reach in row.reaches for rung in reach.rungs]
    if all(rung.works for rung in rungs):
        return "every model"
    if not any(rung.works for rung in rungs):
        return "nowhere" if all(rung.skill.bounded for rung in rungs) else "? (needs two seeds)"
    texts = [(reach.ladder, figures.reach_text(reach)) for reach in row.reaches]
    items = [f"{ladder} {text}" for ladder, text in texts if text != "none"]
    without = [ladder for ladder, text in texts if text == "none"]
    items += [f"not {ladder}" if i == 0 else ladder for i, ladder in enumerate(without)]
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + 2 + len(item) < room:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return ",\n".join(lines)


def _calibration(found: Calibration) -> str:
    if not found.ceilings or not found.floors:
        return "calibration: not checked, this run has no rows of the truth or of guessing"
    if found.holds:
        tested = sum(row.tested for row in found.floors)
        scored = len(found.ceilings)
        truth = f"the truth scores 1 in {scored} of {scored} cells"
        guess = f"guessing scores 0 within its interval in {tested} of {tested}"
        return f"calibration: {truth}; {guess if tested else 'guessing is not tested, that takes two seeds'}"
    lines = [f"CALIBRATION IS OFF in {figures.plural(len(found.broken), 'cell')}; do not trust them:"]
    for row in found.broken:
        value = (
            f"the truth scores {row.worst!r}"
            if isinstance(row, CeilingRow)
            else f"guessing scores {figures.interval_text(row.together)}"
        )
        lines.append(f"  {row.cell.track}/{row.cell.task} on {row.cell.model}: {value}")
    return "\n".join(lines)


def _controls(found: Mapping[str, Sequence[FalseDiscovery]]) -> str:
    """Return one table for all tracks."""
    shown = [c for c in CONTROLS if any(c in row.skills for rows in found.values() for row in rows)]
    body = [
        [track, *line]
        for track, rows in found.items()
        for line in figures.discovery_rows(rows, shown, "finds what is not there")
    ]
    headers = ["track", "technique", "planted", *shown, "trials", ""]
    return f"{CONTROLS_LEGEND}\n{columns.table(headers, body)}"


def _outcomes(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [
            outcome.status,
            str(outcome.trials),
            outcome.track,
            figures.names_text(outcome.techniques, limit=1),
            figures.names_text(outcome.models, limit=1),
            outcome.reason,
        ]
        for outcome in outcomes[:REASONS_SHOWN]
    ]
    headers = ["status", "trials", "track", "technique", "model", "reason"]
    more = len(outcomes) - REASONS_SHOWN
    text = f"trials without an answer\n{columns.fitted(headers, rows)}"
    return text if more <= 0 else f"{text}\nand {figures.plural(more, 'more reason')}"
