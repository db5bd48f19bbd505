"""Skill against what it costs, among models of about one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp_bench.analysis.bands import Band, Banded
from interp_bench.board import figures
from interp_bench.board.site.charts import BEST, FEWER, OTHER
from interp_bench.board.site.links import Links
from interp_bench.board.site.page import Figure, Page, explorer
from interp_bench.board.site.study import Study
from interp_bench.board.site.tables import (
    Column,
    Entry,
    Row,
    Table,
    number_entry,
    seconds_entry,
    skill_entry,
    table,
)

SHORTEST = 1e-4
"""Seconds: a log axis has no zero, and clocks say nothing below."""


def cost(study: Study, links: Links, specs: Mapping[str, Mapping[str, object]]) -> Page:
    """Return skill against seconds, within models of one modality and size, where they compare."""
    bands = [(band, _kinds(band)) for band in study.bands]
    rows = [_row(band, row, kinds, links) for band, kinds in bands for row in _scored(band)]
    lines = [_line(band, row, kinds) for band, kinds in bands for row in _scored(band)]
    return explorer(
        "cost.html",
        "Cost",
        "What skill costs. Techniques compare only on models of about one size, since dear ones are run on "
        "small models alone.",
        _table(rows, _first_band(study.bands)),
        _figure(lines, specs),
    )


def _table(rows: Sequence[Row], defaults: Mapping[str, str]) -> Table:
    columns = [
        Column(label="technique"),
        Column(label="track"),
        Column(label="model size", number=True),
        Column(label="skill", number=True),
        Column(label="seconds", number=True, hint="median over its answers"),
        Column(label="forwards", number=True),
        Column(label="backwards", number=True),
        Column(label="peak MiB", number=True),
        Column(label="cells", number=True),
        Column(label="for its cost", hint="among those that were scored on most cells"),
    ]
    return table(
        "cost",
        "Skill and cost of every technique by model size",
        columns,
        rows,
        filters=("track", "modality", "size"),
        defaults=defaults,
        search=True,
    )


def _figure(lines: Sequence[Sequence[object]], specs: Mapping[str, Mapping[str, object]]) -> Figure:
    return Figure(
        id="cost",
        caption="Skill against the seconds of an answer, on models of about one size. Nothing cheaper "
        "beats what stands on the dashed line; what was scored on fewer cells takes no part in it.",
        alt="Scatter chart of skill against seconds; the table below holds its numbers.",
        spec=specs["cost"],
        columns=("key", "technique", "skill", "low", "high", "seconds", "label", "kind"),
        rows=lines,
        table="cost",
    )


def _first_band(bands: Sequence[Band]) -> dict[str, str]:
    if not bands:
        return {}
    band = max(bands, key=lambda band: (band.track == "circuits", len(band.complete), band.size))
    return {"track": band.track, "modality": band.modality, "size": str(band.size)}


def _scored(band: Band) -> list[Banded]:
    return [row for row in band.rows if row.standing.role == "technique" and row.skill and row.standing.cost]


def _frontier(band: Band) -> set[str]:
    """Return those of the complete techniques that none beats in skill for as few seconds."""
    best, found = -float("inf"), set()
    rows = [
        (row.standing.cost.seconds, -row.skill.mean, row.technique)
        for row in band.complete
        if row.standing.cost and row.skill
    ]
    for _, loss, technique in sorted(rows):
        if -loss > best:
            best = -loss
            found.add(technique)
    return found


def _kinds(band: Band) -> dict[str, str]:
    """Return how each technique compares; those that were scored on fewer cells do not."""
    best, complete = _frontier(band), {row.technique for row in band.complete}
    return {
        row.technique: BEST if row.technique in best else OTHER if row.technique in complete else FEWER
        for row in _scored(band)
    }


def _band_key(band: Band, row: Banded) -> str:
    return f"{band.track}/{row.technique} {band.modality} {band.size}"


def _row(band: Band, row: Banded, kinds: Mapping[str, str], links: Links) -> Row:
    standing, cost = row.standing, row.standing.cost
    assert cost is not None
    return Row(
        entries=(
            Entry(text=row.technique, href=links.technique(f"{band.track}/{row.technique}")),
            Entry(text=band.track),
            Entry(text=f"about {figures.params_text(band.size)}", value=band.size),
            skill_entry(row.skill, failed=bool(standing.failures)),
            seconds_entry(cost.seconds),
            number_entry(cost.forwards),
            number_entry(cost.backwards),
            number_entry(round(cost.peak_memory_mb)),
            Entry(text=figures.cells_text(standing), value=standing.cells),
            Entry(text=kinds[row.technique]),
        ),
        facets={"track": band.track, "modality": band.modality, "size": str(band.size)},
        key=_band_key(band, row),
    )


def _line(band: Band, row: Banded, kinds: Mapping[str, str]) -> list[object]:
    skill, cost = row.skill, row.standing.cost
    assert skill is not None
    assert cost is not None
    low, high = (round(skill.low, 4), round(skill.high, 4)) if skill.bounded else (None, None)
    label = f"{figures.interval_text(skill)}, {figures.cost_text(cost)}"
    seconds = max(cost.seconds, SHORTEST)
    kind = kinds[row.technique]
    return [_band_key(band, row), row.technique, round(skill.mean, 4), low, high, seconds, label, kind]
