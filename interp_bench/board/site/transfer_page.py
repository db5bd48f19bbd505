"""Which cliff first: which small model predicts the largest one, and how hard each model is."""

from __future__ import annotations

from collections.abc import Mapping

from interp_bench.analysis.cliffness import Cliffness, Grade
from interp_bench.analysis.stats import Interval
from interp_bench.analysis.transfer import Predictor, Transfer
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.page import Figure, Page
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
from interp_bench.board.site.technique_pages import CURVE

CLEAR = 0.1
"""Scales that account for less of the variance of skill than this are said to grade little."""


def transfer_page(study: Study, links: Links, specs: Mapping[str, Mapping[str, object]]) -> Page:
    """Return the page."""
    return Page(
        path="transfer.html",
        template="transfer.html",
        title="Which cliff first",
        section="transfer.html",
        context={
            "summary": _summary(study, links),
            "predictors": _predictors(study, links),
            "grades": _grades(study, links),
            "figure_": _figure(study, specs),
            "scales": _scales(study),
        },
    )


def _summary(study: Study, links: Links) -> Table:
    columns = [
        Column(label="track"),
        Column(label="modality"),
        Column(label="largest model"),
        Column(label="cheapest model that predicts it"),
        Column(label="tau", number=True, hint="Kendall's tau between the two rankings of techniques"),
        Column(label="its cost", number=True, hint="seconds for one seed of the techniques they share"),
        Column(label="cost on the largest", number=True),
    ]
    return table(
        "cheapest",
        "The cheapest model that predicts the largest",
        columns,
        [_cheapest(one, links) for one in study.transfers],
        filters=("track", "modality"),
    )


def _cheapest(one: Transfer, links: Links) -> Row:
    found = one.cheapest
    facets = {"track": one.track, "modality": one.modality}
    head = (
        Entry(text=one.track),
        Entry(text=one.modality),
        Entry(text=f"{one.largest} ({figures.params_text(one.params)})", href=links.model(one.largest)),
    )
    if found is None:
        empty = Entry(text=figures.NOTHING, value=None)
        return Row(entries=(*head, Entry(text="none beyond doubt", value=None), *[empty] * 3), facets=facets)
    return Row(
        entries=(
            *head,
            Entry(text=f"{found.model} ({figures.params_text(found.params)})", href=links.model(found.model)),
            _tau(found.tau),
            seconds_entry(found.seconds),
            seconds_entry(found.seconds_on_largest),
        ),
        facets=facets,
    )


def _tau(tau: Interval | None) -> Entry:
    if tau is None:
        return Entry(text=figures.NOTHING, value=None)
    return Entry(text=f"{tau.mean:.2f} ({tau.low:.2f} to {tau.high:.2f})", value=round(tau.mean, 6))


def _predictors(study: Study, links: Links) -> Table:
    columns = [
        Column(label="model"),
        Column(label="track"),
        Column(label="parameters", number=True),
        Column(label="predicts"),
        Column(label="tau", number=True, hint="Kendall's tau between the two rankings of techniques"),
        Column(label="techniques", number=True, hint="those that were scored at every task that counts"),
        Column(label="tasks", number=True),
        Column(label="cost", number=True, hint="seconds for one seed of these techniques and tasks"),
        Column(label="cost on the largest", number=True),
    ]
    rows = [_predictor(one, row, links) for one in study.transfers for row in one.predictors]
    return table(
        "predictors",
        "How well each model's ranking predicts that of the largest",
        columns,
        rows,
        filters=("track", "modality", "ladder"),
        search=True,
    )


def _predictor(one: Transfer, row: Predictor, links: Links) -> Row:
    return Row(
        entries=(
            Entry(text=row.model, href=links.model(row.model)),
            Entry(text=one.track),
            params_entry(row.params),
            Entry(text=one.largest, href=links.model(one.largest)),
            _tau(row.tau),
            number_entry(row.techniques),
            number_entry(len(row.tasks)),
            seconds_entry(row.seconds),
            seconds_entry(row.seconds_on_largest),
        ),
        facets={"track": one.track, "modality": one.modality, "ladder": row.ladder},
    )


def _grades(study: Study, links: Links) -> Table:
    columns = [
        Column(label="model"),
        Column(label="track"),
        Column(label="ladder"),
        Column(label="parameters", number=True),
        Column(label="expected skill", number=True, hint="of all techniques of the scale together"),
        Column(label="difficulty", number=True, hint="in logits; higher is harder"),
        Column(label="tasks", number=True),
    ]
    rows = [
        _grade(scale, number, grade, links)
        for number, scale in enumerate(study.scales)
        for grade in scale.grades
    ]
    return table(
        "grades",
        "Grades of the cliffs: how hard each model is",
        columns,
        rows,
        filters=("track", "modality", "ladder"),
        search=True,
    )


def _grade(scale: Cliffness, number: int, grade: Grade, links: Links) -> Row:
    return Row(
        entries=(
            Entry(text=grade.model, href=links.model(grade.model)),
            Entry(text=scale.track),
            Entry(text=grade.ladder or figures.NOTHING),
            params_entry(grade.params),
            skill_entry(grade.expected),
            number_entry(round(grade.difficulty.mean, 6), figures.interval_text(grade.difficulty)),
            number_entry(len(grade.tasks)),
        ),
        facets={"track": scale.track, "modality": grade.modality, "ladder": grade.ladder},
        key=f"{number} {grade.model}",
    )


def _figure(study: Study, specs: Mapping[str, Mapping[str, object]]) -> Figure:
    rows: list[list[object]] = []
    for number, scale in enumerate(study.scales):
        for grade in scale.grades:
            skill, known = grade.expected, grade.expected.bounded
            low, high = (round(skill.low, 4), round(skill.high, 4)) if known else (None, None)
            rows.append(
                [
                    f"{number} {grade.model}",
                    f"{scale.track}, {grade.ladder}" if grade.ladder else scale.track,
                    grade.model,
                    grade.params,
                    round(skill.mean, 4),
                    low,
                    high,
                    figures.interval_text(skill),
                ]
            )
    return Figure(
        id="grades",
        caption="The skill that all techniques of a track together are expected to have on each model.",
        alt="Line chart of expected skill against parameters; the table of grades holds its numbers.",
        spec=specs["curves"],
        columns=CURVE,
        rows=rows,
        table="grades",
        limit=60,
    )


def _scales(study: Study) -> list[str]:
    """Return what each scale accounts for, in words."""
    return [
        f"{scale.track}: {figures.plural(len(scale.abilities), 'technique')}, "
        f"{figures.plural(len(scale.difficulties), 'place')}, {scale.explained:.0%} of the variance of skill"
        f"{' (grades say little)' if scale.explained < CLEAR else ''}"
        for scale in study.scales
    ]
