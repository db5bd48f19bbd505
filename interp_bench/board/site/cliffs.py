"""Curves: skill against parameters, one line a technique and a ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp_bench.analysis.reach import Reach
from interp_bench.analysis.stats import mean
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.overview import reach_entry, stop_entry
from interp_bench.board.site.page import Figure, Page, explorer
from interp_bench.board.site.study import Study
from interp_bench.board.site.tables import Column, Entry, Row, Table, number_entry, table
from interp_bench.board.site.technique_pages import CURVE, curve_rows


def cliffs(study: Study, links: Links, specs: Mapping[str, Mapping[str, object]]) -> Page:
    """Return the page of curves: one row and one line a technique and a ladder."""
    reaches = [reach for row in study.rows if row.role == "technique" for reach in row.reaches]
    # The best come first, so that the chart opens with them.
    reaches.sort(
        key=lambda reach: (-len(reach.working), -_mean(reach), reach.track, reach.technique, reach.ladder)
    )
    rows = [_row(study, links, reach) for reach in reaches]
    lines = [
        line
        for reach, row in zip(reaches, rows, strict=True)
        for line in curve_rows(reach, f"{reach.technique}, {reach.ladder}", row.key)
    ]
    return explorer(
        "cliffs.html",
        "Cliffs",
        "How skill changes as models grow, on each ladder of models that differ in size alone.",
        _table(rows),
        _figure(lines, specs),
    )


def _table(rows: Sequence[Row]) -> Table:
    columns = [
        Column(label="technique"),
        Column(label="track"),
        Column(label="ladder"),
        Column(label="reach"),
        Column(label="stops working", hint="between these sizes"),
        Column(label="skill on the ladder", number=True, hint="mean over its models"),
        Column(label="models", number=True),
    ]
    return table(
        "cliffs",
        "Reach of every technique on every ladder",
        columns,
        rows,
        filters=("track", "modality", "ladder", "family"),
        defaults=_first(rows),
        search=True,
    )


def _figure(lines: Sequence[Sequence[object]], specs: Mapping[str, Mapping[str, object]]) -> Figure:
    return Figure(
        id="cliffs",
        caption="Skill against parameters, with 95% intervals over seeds. A technique works where the "
        "lower bound reaches the dashed line.",
        alt="Line chart of skill against parameters; the table below holds its numbers.",
        spec=specs["curves"],
        columns=CURVE,
        rows=lines,
        table="cliffs",
        limit=6,
    )


def _first(rows: Sequence[Row]) -> dict[str, str]:
    """Return what is chosen when the page opens: the track and the ladder with most to show."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        place = (row.facets["track"], row.facets["ladder"])
        counts[place] = counts.get(place, 0) + int(float(row.entries[-1].value or 0))
    if not counts:
        return {}
    track, ladder = max(sorted(counts), key=lambda place: (place[0] == "circuits", counts[place]))
    return {"track": track, "ladder": ladder}


def _mean(reach: Reach) -> float:
    return mean([rung.skill.mean for rung in reach.rungs])


def _row(study: Study, links: Links, reach: Reach) -> Row:
    subject = study.subjects[reach.rungs[0].model]
    name = f"{reach.track}/{reach.technique}"
    over = _mean(reach)
    return Row(
        entries=(
            Entry(text=reach.technique, href=links.technique(name)),
            Entry(text=reach.track),
            Entry(text=reach.ladder),
            reach_entry(reach),
            stop_entry(reach),
            number_entry(round(over, 6), figures.skill_text(over)),
            number_entry(len(reach.rungs)),
        ),
        facets={
            "track": reach.track,
            "modality": subject.modality,
            "ladder": reach.ladder,
            "family": subject.kind,
        },
        key=f"{name} {reach.ladder}",
    )
