"""The first question of a reader: which technique works here, where does it stop, and what does it cost?"""

from __future__ import annotations

from interp_bench.analysis.bands import Band
from interp_bench.analysis.reach import Reach
from interp_bench.analysis.standings import Standing
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.study import Study
from interp_bench.board.site.tables import Column, Entry, Row, Table, seconds_entry, skill_entry, table

NOT_SEEN = "not seen"


def finder(study: Study, links: Links) -> Table:
    """Return one row a track, modality and size: the best technique, its edge, its cost, the runner-up."""
    columns = (
        Column(label="question"),
        Column(label="model size", number=True),
        Column(label="best technique"),
        Column(label="skill", number=True),
        Column(
            label="works up to", hint="the largest model on any ladder of this modality on which it works"
        ),
        Column(label="stops working", hint="between these sizes, where the next model of a ladder fails"),
        Column(label="cost of an answer", number=True),
        Column(label="runner-up"),
        Column(label="rests on", number=True),
    )
    return table(
        "finder",
        "The best technique by question and model size",
        columns,
        [row for band in study.bands if (row := _row(band, study, links))],
        filters=("track", "modality", "size"),
    )


def _row(band: Band, study: Study, links: Links) -> Row | None:
    if not band.complete:
        return None
    best = band.complete[0]
    row, cost = best.standing, best.standing.cost
    reaches = modality_reaches(study, row, band.modality)
    noun = {"lm": "LMs", "image": "image nets"}.get(band.modality, band.modality)
    return Row(
        entries=(
            Entry(text=f"{band.track} in {noun}", href=f"#track-{band.track}"),
            Entry(text=f"about {figures.params_text(band.size)}", value=band.size),
            Entry(text=best.technique, href=links.technique(f"{row.track}/{row.technique}")),
            skill_entry(best.skill, failed=bool(row.failures)),
            _furthest(reaches),
            _edges(reaches),
            seconds_entry(cost.seconds if cost else None),
            _second(band, links),
            Entry(
                text=f"{figures.plural(row.cells, 'cell')}, {figures.plural(len(band.models), 'model')}",
                value=row.cells,
                href="truth.html",
            ),
        ),
        facets={"track": band.track, "modality": band.modality, "size": str(band.size)},
        key=f"{band.track} {band.modality} {band.size}",
    )


def modality_reaches(study: Study, row: Standing, modality: str) -> tuple[Reach, ...]:
    """Return the reaches of a technique, from all of its trials, on the ladders of one modality."""
    whole = next(r for r in study.standings[row.track] if r.technique == row.technique)
    return tuple(r for r in whole.reaches if study.subjects[r.rungs[0].model].modality == modality)


def _furthest(reaches: tuple[Reach, ...]) -> Entry:
    working = [reach for reach in reaches if reach.largest is not None]
    if not working:
        return Entry(text="no model" if any(r.decidable for r in reaches) else "undecided", value=None)
    best = max(working, key=lambda reach: (_top(reach), reach.ladder))
    return Entry(text=f"{figures.params_text(_top(best))} ({best.ladder})", value=_top(best))


def _top(reach: Reach) -> int:
    return reach.largest.params if reach.largest else 0


def _edges(reaches: tuple[Reach, ...]) -> Entry:
    """Say where the technique stops on each ladder where it does."""
    seen = [reach for reach in reaches if reach.edge]
    if not seen:
        works = any(reach.working for reach in reaches)
        return Entry(text=NOT_SEEN if works else figures.NOTHING, value=None)
    text = "; ".join(f"{figures.edge_text(r).replace('TO', 'to')} ({r.ladder})" for r in seen)
    return Entry(text=text, value=min(r.edge[0] for r in seen if r.edge))


def _second(band: Band, links: Links) -> Entry:
    if len(band.complete) < 2:
        return Entry(text=figures.NOTHING, value=None)
    row = band.complete[1]
    text = f"{row.technique} {figures.interval_text(row.skill)}"
    return Entry(text=text, href=links.technique(f"{band.track}/{row.technique}"))
