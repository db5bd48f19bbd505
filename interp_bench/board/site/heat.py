"""The grid of techniques and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp_bench.analysis.standings import Standing
from interp_bench.analysis.stats import Interval
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.page import Figure, Page, explorer
from interp_bench.board.site.study import Study, Subject
from interp_bench.board.site.tables import Column, Entry, Row, skill_entry, table

Specs = Mapping[str, Mapping[str, object]]
Skills = Mapping[tuple[str, str, str], Interval | None]
"""Skill by track, technique and model."""


def heat(study: Study, links: Links, specs: Specs) -> Page:
    """Return the grid of techniques and models: one row a technique and track, one column a model."""
    subjects = sorted(study.subjects.values(), key=lambda s: (s.modality != "lm", s.ladder, s.params, s.id))
    found = {place: meeting.skill for place, meeting in study.meetings.items()}
    standings = [row for row in study.rows if row.role != "ceiling"]
    rows = [_row(row, subjects, found, links) for row in standings]
    columns = [
        Column(label="technique"),
        Column(label="track"),
        *(
            Column(
                label=subject.id,
                key=subject.id,
                number=True,
                href=links.model(subject.id),
                facets={"modality": subject.modality, "ladder": subject.ladder, "family": subject.kind},
            )
            for subject in subjects
        ),
    ]
    shown = table(
        "heat",
        "Skill of every technique on every model",
        columns,
        rows,
        filters=("track", "modality", "ladder", "family"),
        defaults={"track": "circuits" if "circuits" in study.standings else next(iter(study.standings), "")},
        search=True,
    )
    return explorer(
        "heat.html",
        "Heat map",
        "Every technique on every model, mean over tasks. Models stand by ladder and size; what was not "
        "scored is empty.",
        shown,
        _figure(standings, subjects, found, specs),
    )


def _row(
    row: Standing,
    subjects: Sequence[Subject],
    found: Skills,
    links: Links,
) -> Row:
    name = f"{row.track}/{row.technique}"
    return Row(
        entries=(
            Entry(text=row.technique, href=links.technique(name)),
            Entry(text=row.track),
            *(skill_entry(found.get((row.track, row.technique, subject.id))) for subject in subjects),
        ),
        facets={"track": row.track},
        key=name,
    )


def _figure(
    standings: Sequence[Standing], subjects: Sequence[Subject], found: Skills, specs: Specs
) -> Figure:
    places = {subject.id: place for place, subject in enumerate(subjects)}
    order = {(row.track, row.technique): place for place, row in enumerate(standings)}
    rows = [
        [
            f"{track}/{technique}",
            technique,
            model,
            round(skill.mean, 3),
            figures.interval_text(skill),
            places[model],
            order[track, technique],
        ]
        for (track, technique, model), skill in sorted(found.items())
        if skill is not None and (track, technique) in order
    ]
    return Figure(
        id="heat",
        caption="Brighter is better. The chart follows the choices of track and of models.",
        alt="Grid of techniques and models coloured by skill; the table below holds its numbers.",
        spec=specs["heat"],
        columns=("key", "technique", "model", "skill", "label", "place", "order"),
        rows=rows,
        table="heat",
        across="model",
        limit=60,
    )
