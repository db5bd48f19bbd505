"""The first page: which gear for which cliff, and every technique of every track."""

from __future__ import annotations

from collections.abc import Sequence

from interp_bench.analysis.ranks import Ranking
from interp_bench.analysis.reach import Reach
from interp_bench.analysis.standings import Standing
from interp_bench.board import figures
from interp_bench.board.site.finder import finder
from interp_bench.board.site.links import Links
from interp_bench.board.site.page import Page
from interp_bench.board.site.study import Study
from interp_bench.board.site.tables import (
    Column,
    Entry,
    Row,
    Table,
    reach_bar,
    seconds_entry,
    skill_entry,
    table,
)

QUESTIONS = {
    "features": "Which directions are the features?",
    "concepts": "Which subspace carries this variable?",
    "circuits": "Which edges compute this behaviour?",
    "attribution": "Which inputs decided this output?",
    "triggers": "Which hidden input flips the model?",
}


def overview(study: Study, links: Links) -> Page:
    """Return the first page."""
    return Page(
        path="index.html",
        template="index.html",
        title="Which cliff does the gear work on?",
        section="index.html",
        context={
            "finder": finder(study, links),
            "tracks": [
                (name, QUESTIONS.get(name, ""), standings_table(study, links, name))
                for name in study.standings
            ],
        },
    )


def standings_table(study: Study, links: Links, track: str) -> Table:
    """Return the standings of one track, with a bar of reach for each ladder."""
    rows = study.standings[track]
    modalities = sorted({modality for row in rows for modality in row.by_modality}, reverse=True)
    ladders = _ladders(study, rows)
    rankings = [ranking for ranking in study.rankings if ranking.track == track]
    columns = [
        Column(label="technique"),
        Column(label="skill", number=True, hint="mean over models; trials that failed count as 0"),
        *(
            Column(label=_short(modality), number=True, facets={"modality": modality})
            for modality in modalities
        ),
        *(_rank_column(ranking) for ranking in rankings),
        *(
            Column(label=ladder, hint="reach on this ladder", facets={"ladder": ladder, "modality": modality})
            for ladder, modality in ladders
        ),
        Column(
            label="cells", number=True, hint="task x model cells it was scored on, of those that there are"
        ),
        Column(label="cost of an answer", number=True),
        Column(label="failed", number=True, hint="trials that failed, each counted as skill 0"),
    ]
    body = [_standing(row, modalities, rankings, ladders, links) for row in rows]
    return table(
        f"track-{track}",
        f"{track.capitalize()}: every technique",
        columns,
        body,
        filters=("modality", "ladder", "role"),
        search=True,
    )


def _short(modality: str) -> str:
    return {"lm": "LMs", "image": "image nets"}.get(modality, modality)


def _ladders(study: Study, rows: Sequence[Standing]) -> list[tuple[str, str]]:
    """Return the ladders with their modality; on one with a single model there is no reach."""
    found = {
        (reach.ladder, study.subjects[reach.rungs[0].model].modality)
        for row in rows
        for reach in row.reaches
        if len(reach.rungs) > 1
    }
    return sorted(found, key=lambda pair: (pair[1] != "lm", pair))


def _standing(
    row: Standing,
    modalities: Sequence[str],
    rankings: Sequence[Ranking],
    ladders: Sequence[tuple[str, str]],
    links: Links,
) -> Row:
    reaches = {reach.ladder: reach for reach in row.reaches}
    name = f"{row.track}/{row.technique}"
    mine = {"modality": " ".join(row.by_modality), "ladder": " ".join(reaches), "role": row.role}
    return Row(
        entries=(
            Entry(
                text=row.technique,
                href=links.technique(name),
                look="" if row.role == "technique" else row.role,
            ),
            skill_entry(row.ranked, failed=bool(row.failures)),
            *(skill_entry(row.by_modality.get(modality)) for modality in modalities),
            *(_rank_entry(ranking, row.technique) for ranking in rankings),
            *(reach_entry(reaches.get(ladder)) for ladder, _ in ladders),
            Entry(text=figures.cells_text(row), value=row.cells),
            seconds_entry(row.cost.seconds if row.cost else None),
            Entry(text=str(row.failures), value=row.failures),
        ),
        facets=mine,
        key=name,
    )


def _rank_column(ranking: Ranking) -> Column:
    places = figures.plural(len(ranking.places), "place")
    return Column(
        label=f"rank, {_short(ranking.modality)}",
        number=True,
        hint=f"among those scored on the same {places}; who cannot be told apart share one",
        facets={"modality": ranking.modality},
    )


def _rank_entry(ranking: Ranking, technique: str) -> Entry:
    found = next((one for one in ranking.rows if one.technique == technique), None)
    if found is None:
        return Entry(text=figures.NOTHING, value=None)
    return Entry(text=f"{found.rank}{f', {found.tied} tied' if found.tied > 1 else ''}", value=found.rank)


def stop_entry(reach: Reach) -> Entry:
    """Return between which sizes it stops working; nothing where it works nowhere."""
    if reach.edge is None:
        return Entry(text="not seen" if reach.working else figures.NOTHING, value=None)
    return Entry(text=figures.edge_text(reach), value=reach.edge[0])


def reach_entry(reach: Reach | None) -> Entry:
    """Return a bar of the rungs and what it says in a word; sorted by the largest model that works."""
    if reach is None:
        return Entry(text=figures.NOTHING, value=None)
    largest = reach.largest
    value = float(largest.params) if largest else (0.0 if reach.decidable else None)
    return Entry(text=figures.reach_text(reach), value=value, bar=reach_bar(reach))
