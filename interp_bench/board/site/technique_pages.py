"""One page a technique: what it does, where it works, what it costs, and the trials behind it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from interp_bench.analysis.cells import FAILING, Cell
from interp_bench.analysis.edges import Edge, edges_of
from interp_bench.analysis.reach import Reach, Rung
from interp_bench.analysis.standings import Standing
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.overview import reach_entry, stop_entry
from interp_bench.board.site.packs import pack_of
from interp_bench.board.site.page import Figure, Page, Picture
from interp_bench.board.site.study import Study
from interp_bench.board.site.tables import (
    Column,
    Entry,
    Row,
    Table,
    number_entry,
    params_entry,
    seconds_entry,
    skill_entry,
    table,
)
from interp_bench.harness.trial import CONTROLS, Trial

CELL_COLUMNS = (
    Column(label="skill", number=True, hint="mean over seeds; trials that failed count as 0"),
    Column(label="outcome", hint="how its trials ended"),
    Column(label="seconds", number=True, hint="median over its answers"),
    Column(label="passes", number=True, hint="forward and backward passes through the model"),
)

_ON = {"lm": "On language models", "image": "On image networks"}

CURVE = ("key", "series", "model", "params", "skill", "low", "high", "label")


def technique_pages(study: Study, links: Links, specs: Mapping[str, Mapping[str, object]]) -> Iterator[Page]:
    """Yield the page of every technique that was tried, ceiling and floor too."""
    cells: dict[str, list[Cell]] = {}
    for cell in study.cells:
        cells.setdefault(f"{cell.track}/{cell.technique}", []).append(cell)
    for row in study.rows:
        name = f"{row.track}/{row.technique}"
        yield Page(
            path=links.technique(name),
            template="technique.html",
            title=f"{row.technique} ({row.track})",
            section="index.html",
            context={
                "name": row.technique,
                "track": row.track,
                "row": row,
                "exhibit": study.exhibits.get(name),
                "holds": study.footholds.get(name),
                "facts": _facts(row),
                "reach": _reach_table(study, row) if row.reaches else None,
                "curve": _curve(row, specs) if row.reaches else None,
                "cells": _cells_table(study, links, cells[name]),
                "controls": _controls_table(study, row),
                "versions": _versions(cells[name]),
                "pictures": [
                    _picture(number, picture) for number, picture in enumerate(study.pictures.get(name, ()))
                ],
            },
        )


def _facts(row: Standing) -> list[tuple[str, str]]:
    found = [
        ("Skill", f"{figures.interval_text(row.ranked)} (mean over {figures.plural(row.models, 'model')})"),
        *(
            (_ON.get(modality, f"On {modality}"), figures.interval_text(skill))
            for modality, skill in row.by_modality.items()
        ),
        ("Cells", figures.cells_text(row)),
        ("Cost of an answer", figures.cost_text(row.cost)),
    ]
    if row.cost:
        found.append(("Memory at its peak", f"{row.cost.peak_memory_mb:.0f} MiB (median)"))
    found.append(("Trials", figures.count_text(row.statuses)))
    return found


def _versions(cells: Sequence[Cell]) -> str:
    found = sorted({trial.technique_version for cell in cells for trial in cell.trials})
    return ", ".join(map(str, found))


def curve_rows(reach: Reach, series: str, key: str) -> list[list[object]]:
    """Return one row a rung, for the chart of curves."""
    return [[key, series, rung.model, rung.params, *_skill(rung)] for rung in reach.rungs]


def _skill(rung: Rung) -> list[object]:
    skill = rung.skill
    low, high = (round(skill.low, 4), round(skill.high, 4)) if skill.bounded else (None, None)
    return [round(skill.mean, 4), low, high, figures.interval_text(skill)]


def _curve(row: Standing, specs: Mapping[str, Mapping[str, object]]) -> Figure:
    return Figure(
        id="curve",
        caption="Skill against parameters on each ladder, with 95% intervals; it works where the lower bound "
        "reaches the dashed line.",
        alt=f"Line chart of the skill of {row.technique}; the table Reach holds its numbers.",
        spec=specs["curves"],
        columns=CURVE,
        rows=[line for reach in row.reaches for line in curve_rows(reach, reach.ladder, reach.ladder)],
        table="reach",
        limit=8,
    )


def _picture(number: int, picture: Picture) -> Figure:
    return Figure(
        id=f"picture-{number}",
        caption=picture.caption,
        alt=picture.alt,
        spec=picture.spec,
        title=picture.title,
    )


def _reach_table(study: Study, row: Standing) -> Table:
    columns = [
        Column(label="ladder"),
        Column(label="modality"),
        Column(label="reach"),
        Column(label="stops working", hint="between these sizes"),
        Column(label="falls through 0.5", number=True, hint="where mean skill does, with its 95% bounds"),
        Column(label="models scored", number=True),
        Column(label="smallest", number=True),
        Column(label="largest", number=True),
    ]
    edges = {edge.ladder: edge for edge in edges_of(row.reaches)}
    body = []
    for reach in row.reaches:
        modality = study.subjects[reach.rungs[0].model].modality
        body.append(
            Row(
                entries=(
                    Entry(text=reach.ladder),
                    Entry(text=modality),
                    reach_entry(reach),
                    stop_entry(reach),
                    _crossing(edges.get(reach.ladder)),
                    number_entry(len(reach.rungs)),
                    params_entry(reach.rungs[0].params),
                    params_entry(reach.rungs[-1].params),
                ),
                facets={"modality": modality},
                key=reach.ladder,
            )
        )
    return table(
        "reach", "Reach: on which models of each ladder it works", columns, body, filters=("modality",)
    )


def _crossing(edge: Edge | None) -> Entry:
    """Return the size at which mean skill falls through one half, with the sizes that are sure."""
    if edge is None:
        return Entry(text=figures.NOTHING, value=None)
    if edge.crossing is None:
        return Entry(text="past the largest" if edge.sight == "beyond" else "before the smallest", value=None)
    low, high = ("?" if size is None else figures.params_text(size) for size in (edge.low, edge.high))
    return Entry(text=f"{figures.params_text(round(edge.crossing))} ({low} to {high})", value=edge.crossing)


def _cells_table(study: Study, links: Links, cells: Sequence[Cell]) -> Table:
    columns = [
        Column(label="model"),
        Column(label="task"),
        Column(label="ladder"),
        Column(label="parameters", number=True),
        *CELL_COLUMNS,
    ]
    body = [
        Row(
            entries=(
                Entry(text=cell.model, href=links.model(cell.model)),
                Entry(text=cell.task),
                Entry(text=cell.ladder or figures.NOTHING),
                params_entry(cell.params),
                *cell_entries(cell),
            ),
            facets=_facets(study, cell),
            drill=drill_of(links, cell),
        )
        for cell in cells
    ]
    return table(
        "cells",
        "Every task and model, and the trials behind each number",
        columns,
        body,
        filters=("task", "model", "modality", "ladder", "family"),
        search=True,
    )


def cell_entries(cell: Cell) -> tuple[Entry, ...]:
    """Return skill, outcome, seconds and passes of a cell."""
    answered = [trial for trial in cell.trials if trial.status == "ok"]
    failed = any(status in FAILING for status in cell.statuses)
    return (
        skill_entry(cell.ranked, failed=failed),
        Entry(text=figures.count_text(cell.statuses), value=len(answered), look="bad" if failed else ""),
        seconds_entry(_median([trial.seconds for trial in answered])),
        number_entry(_median([trial.forwards + trial.backwards for trial in answered])),
    )


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _facets(study: Study, cell: Cell) -> dict[str, str]:
    return {
        "task": cell.task,
        "model": cell.model,
        "modality": cell.modality,
        "ladder": cell.ladder,
        "family": study.subjects[cell.model].kind,
    }


def drill_of(links: Links, cell: Cell) -> tuple[str, str, str]:
    """Return the pack that holds the trials of a cell, its model, and what to call it."""
    first: Trial = cell.trials[0]
    label = f"{cell.technique}, {cell.task}, {cell.model}"
    return (pack_of(links, first.technique_id, first.task_id), cell.model, label)


def _controls_table(study: Study, row: Standing) -> Table | None:
    found = next((d for d in study.discoveries.get(row.track, ()) if d.technique == row.technique), None)
    if found is None:
        return None
    names = [control for control in CONTROLS if control in found.skills]
    body = [
        Row(
            entries=(
                Entry(text=control),
                skill_entry(found.skills[control]),
                Entry(text="finds what is not there" if control in found.found else "nothing found"),
            )
        )
        for control in names
    ]
    columns = [Column(label="control"), Column(label="skill", number=True), Column(label="verdict")]
    return table("controls", "Negative controls: what it reports where nothing was planted", columns, body)
