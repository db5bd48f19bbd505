"""How the truth is known: certificates, calibration, negative controls, and what gave no number."""

from __future__ import annotations

from collections.abc import Sequence

from interp_bench.analysis.calibration import CeilingRow, FloorRow
from interp_bench.analysis.cells import Cell
from interp_bench.analysis.controls import FALSE, FalseDiscovery
from interp_bench.analysis.outcomes import Outcome
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.page import Page
from interp_bench.board.site.proofs import checks_table, plantings_table
from interp_bench.board.site.study import Study
from interp_bench.board.site.tables import (
    Column,
    Entry,
    Row,
    Table,
    number_entry,
    params_entry,
    skill_entry,
    table,
)
from interp_bench.harness.trial import CONTROLS


def truth(study: Study, links: Links) -> Page:
    """Return the page."""
    found = study.calibration
    return Page(
        path="truth.html",
        template="truth.html",
        title="How we know the truth",
        section="truth.html",
        context={
            "planted": sum(planting.planted for planting in study.plantings),
            "certified": sum(planting.certified for planting in study.plantings),
            "plantings": plantings_table(study.plantings),
            "checks": checks_table(study.checks),
            "ceilings": figures.part_text(sum(row.holds for row in found.ceilings), len(found.ceilings)),
            "floors": figures.part_text(sum(row.holds for row in found.floors), len(found.floors)),
            "alone": figures.part_text(sum(row.holds_alone for row in found.floors), len(found.floors)),
            "calibration": _calibration(found.ceilings, found.floors, links),
            "controls": _controls(study, links),
            "bound": FALSE,
            "statuses": list(study.statuses.items()),
            "outcomes": _outcomes(study.outcomes),
        },
    )


def _calibration(ceilings: Sequence[CeilingRow], floors: Sequence[FloorRow], links: Links) -> Table:
    truths = {row.cell.place: row for row in ceilings}
    guesses = {row.cell.place: row for row in floors}
    both: tuple[CeilingRow | FloorRow, ...] = (*ceilings, *floors)
    cells = {row.cell.place: row.cell for row in both}
    order = sorted(cells.values(), key=lambda cell: (cell.track, cell.task, cell.params, cell.model))
    columns = [
        Column(label="task"),
        Column(label="track"),
        Column(label="model"),
        Column(label="parameters", number=True),
        Column(label="truth", number=True, hint="skill of the truth, its worst seed; must be exactly 1"),
        Column(label="guessing", number=True, hint="skill of guessing; its interval must hold 0"),
        Column(label="holds", hint="with intervals that hold together for all rows of guessing"),
    ]
    rows = [_calibrated(cell, truths.get(cell.place), guesses.get(cell.place), links) for cell in order]
    return table(
        "calibration", "The truth and guessing, by the same code", columns, rows,
        filters=("track", "modality"), search=True,
    )  # fmt: skip


def _calibrated(cell: Cell, best: CeilingRow | None, guess: FloorRow | None, links: Links) -> Row:
    holds = all(row.holds for row in (best, guess) if row)
    return Row(
        entries=(
            Entry(text=cell.task),
            Entry(text=cell.track),
            Entry(text=cell.model, href=links.model(cell.model)),
            params_entry(cell.params),
            number_entry(best.worst, repr(best.worst)) if best else number_entry(None),
            skill_entry(guess.alone if guess else None),
            Entry(text="yes" if holds else "no", look="" if holds else "bad"),
        ),
        facets={"track": cell.track, "modality": cell.modality},
    )


def _controls(study: Study, links: Links) -> Table | None:
    if not study.discoveries:
        return None
    every = [row for rows in study.discoveries.values() for row in rows]
    names = [control for control in CONTROLS if any(control in row.skills for row in every)]
    columns = [
        Column(label="technique"),
        Column(label="track"),
        Column(label="planted", number=True, hint="mean skill on the same problems as they were planted"),
        *(Column(label=name, number=True) for name in names),
        Column(label="trials", number=True),
        Column(label="verdict"),
    ]
    return table(
        "controls",
        "What techniques report where nothing was planted",
        columns,
        [_control(row, names, links) for row in every],
        filters=("track", "role"),
        search=True,
    )


def _control(row: FalseDiscovery, names: Sequence[str], links: Links) -> Row:
    skills = dict(row.skills)
    verdict = "finds what is not there" if row.found else ("" if row.decidable else "undecided")
    return Row(
        entries=(
            Entry(text=row.technique, href=links.technique(f"{row.track}/{row.technique}")),
            Entry(text=row.track),
            number_entry(row.planted, None if row.planted is None else figures.skill_text(row.planted)),
            *(skill_entry(skills.get(name)) for name in names),  # type: ignore[call-overload]
            Entry(text=figures.part_text(row.answered, row.asked), value=row.answered),
            Entry(text=verdict or figures.NOTHING, look="bad" if row.found else ""),
        ),
        facets={"track": row.track, "role": row.role},
    )


def _outcomes(outcomes: Sequence[Outcome]) -> Table:
    columns = [
        Column(label="status"),
        Column(label="trials", number=True),
        Column(label="track"),
        Column(label="techniques"),
        Column(label="models"),
        Column(label="reason"),
    ]
    rows = [
        Row(
            entries=(
                Entry(text=outcome.status, look="bad" if outcome.failing else ""),
                number_entry(outcome.trials),
                Entry(text=outcome.track),
                Entry(text=figures.names_text(outcome.techniques)),
                Entry(text=figures.names_text(outcome.models)),
                Entry(text=outcome.reason, look="wide"),
            ),
            facets={"track": outcome.track, "status": outcome.status},
        )
        for outcome in outcomes
    ]
    return table(
        "outcomes", "Why trials gave no answer", columns, rows, filters=("track", "status"), search=True
    )
