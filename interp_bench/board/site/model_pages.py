"""One page a model: what it is, how hard it is, which techniques work on it; and the list of all models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from interp_bench.analysis.cells import FAILING, Cell
from interp_bench.analysis.certificates import checks_of, plantings_of
from interp_bench.analysis.reach import WORKS
from interp_bench.board import figures
from interp_bench.board.site.links import Links
from interp_bench.board.site.meetings import Meeting
from interp_bench.board.site.page import Page
from interp_bench.board.site.proofs import checks_table, plantings_table
from interp_bench.board.site.study import Study, Subject, one_a_proof
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
from interp_bench.harness.trial import Trial


def model_pages(study: Study, links: Links) -> Iterator[Page]:
    """Yield the list of models, and a page for each."""
    cells: dict[str, list[Cell]] = {name: [] for name in study.subjects}
    for cell in study.cells:
        cells[cell.model].append(cell)
    meetings: dict[str, list[Meeting]] = {name: [] for name in study.subjects}
    for meeting in study.meetings.values():
        meetings[meeting.model].append(meeting)
    proofs: dict[str, list[Trial]] = {name: [] for name in study.subjects}
    for trial in one_a_proof(study.planted):
        proofs[trial.model].append(trial)
    yield Page(
        path="models.html",
        template="models.html",
        title="Models",
        section="models.html",
        context={"models": _models_table(study, links, cells)},
    )
    for subject in study.subjects.values():
        yield _page(study, links, cells[subject.id], meetings[subject.id], proofs[subject.id])


def _page(
    study: Study, links: Links, cells: Sequence[Cell], meetings: Sequence[Meeting], proofs: Sequence[Trial]
) -> Page:
    subject = study.subjects[cells[0].model]
    return Page(
        path=links.model(subject.id),
        template="model.html",
        title=subject.id,
        section="models.html",
        context={
            "subject": subject,
            "facts": _facts(study, subject, cells),
            "card": study.cards.get(subject.id),
            "tracks": [
                (track, _track_table(links, track, [one for one in meetings if one.track == track]))
                for track in sorted({one.track for one in meetings})
            ],
            "plantings": plantings_table(plantings_of(proofs)),
            "checks": checks_table(checks_of(proofs)),
        },
    )


def _facts(study: Study, subject: Subject, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    card = study.cards.get(subject.id)
    works, scored = working(cells)
    found = [
        ("Parameters", f"{subject.params:,}"),
        (
            "Modality",
            {"lm": "language model", "image": "image network"}.get(subject.modality, subject.modality),
        ),
        ("Family", subject.kind),
        ("Ladder", subject.ladder or figures.NOTHING),
        ("Works here", f"{figures.part_text(works, scored)} cells of techniques and tasks"),
        ("Revision", ", ".join(subject.revisions)),
    ]
    if card:
        found += [("Licence", card.license), ("Tier", card.tier), ("Capability", card.capability)]
    return [(label, text) for label, text in found if text]


def working(cells: Sequence[Cell]) -> tuple[int, int]:
    """Return in how many cells of techniques a technique works, and in how many that could be decided."""
    decided = [c for c in cells if c.role == "technique" and c.ranked is not None and c.ranked.bounded]
    return sum(c.ranked is not None and c.ranked.low >= WORKS for c in decided), len(decided)


def _track_table(links: Links, track: str, meetings: Sequence[Meeting]) -> Table:
    """Return the techniques of one track by their skill on this model, with a column for each task."""
    tasks = sorted({cell.task for meeting in meetings for cell in meeting.cells})
    columns = [
        Column(label="technique"),
        Column(label="skill", number=True, hint="mean over tasks; trials that failed count as 0"),
        *(Column(label=task, number=True, facets={"task": task}) for task in tasks),
        Column(label="works on", number=True, hint="tasks on which its lower bound is at least 0.5"),
        Column(label="seconds", number=True, hint="median over its answers"),
        Column(label="evidence"),
    ]
    body = [_row(links, meeting, tasks) for meeting in sorted(meetings, key=lambda one: one.rank)]
    return table(
        f"track-{track}", f"{track.capitalize()} on this model", columns, body, filters=("task", "role")
    )


def _row(links: Links, meeting: Meeting, tasks: Sequence[str]) -> Row:
    name = f"{meeting.track}/{meeting.technique}"
    cells = {cell.task: cell for cell in meeting.cells}
    page = links.technique(name)
    return Row(
        entries=(
            Entry(text=meeting.technique, href=page),
            skill_entry(meeting.skill, failed=meeting.failed),
            *(_task_entry(cells.get(task)) for task in tasks),
            Entry(text=figures.part_text(meeting.works, meeting.scored), value=meeting.works),
            seconds_entry(meeting.seconds),
            Entry(text="trials", href=f"{page}#cells.model={quote(meeting.model)}"),
        ),
        facets={"role": meeting.role},
        key=name,
    )


def _task_entry(cell: Cell | None) -> Entry:
    """Return the skill on a task, or why there is none."""
    if cell is None:
        return Entry(text=figures.NOTHING, value=None)
    if cell.ranked is None:
        return Entry(text=", ".join(cell.statuses), value=None, look="none")
    return skill_entry(cell.ranked, failed=any(status in FAILING for status in cell.statuses))


def _models_table(study: Study, links: Links, cells: Mapping[str, Sequence[Cell]]) -> Table:
    columns = [
        Column(label="model"),
        Column(label="modality"),
        Column(label="family"),
        Column(label="ladder"),
        Column(label="parameters", number=True),
        Column(label="works in", number=True, hint="share of decided cells in which a technique works"),
        Column(label="cells", number=True, hint="cells of a technique and a task that could be decided"),
        Column(label="capability", hint="a published measure"),
    ]
    rows = []
    for subject in study.subjects.values():
        works, decided = working(cells[subject.id])
        share = works / decided if decided else None
        card = study.cards.get(subject.id)
        rows.append(
            Row(
                entries=(
                    Entry(text=subject.id, href=links.model(subject.id)),
                    Entry(text=subject.modality),
                    Entry(text=subject.kind),
                    Entry(text=subject.ladder or figures.NOTHING),
                    params_entry(subject.params),
                    number_entry(share, None if share is None else f"{share:.0%}"),
                    number_entry(decided),
                    Entry(text=(card.capability.partition(" (")[0] if card else "") or figures.NOTHING),
                ),
                facets={"modality": subject.modality, "ladder": subject.ladder, "family": subject.kind},
                key=subject.id,
            )
        )
    return table("models", "Models", columns, rows, filters=("modality", "ladder", "family"), search=True)
