"""Everything that the pages show, worked out once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from interp_bench.analysis.bands import Band, bands_of
from interp_bench.analysis.calibration import Calibration, calibrate
from interp_bench.analysis.cells import Cell, cells_of_newest, newest, statuses_of, without_controls
from interp_bench.analysis.certificates import CheckSummary, Planting, checks_of, plantings_of
from interp_bench.analysis.claims import CLAIMS, Claim, Finding, ModelFacts, evidence_of, measured
from interp_bench.analysis.cliffness import Cliffness, cliffness_of
from interp_bench.analysis.controls import FalseDiscovery, false_discoveries_of
from interp_bench.analysis.footholds import Footholds, footholds_of
from interp_bench.analysis.outcomes import Outcome, outcomes_of
from interp_bench.analysis.ranks import Ranking, rankings_of
from interp_bench.analysis.standings import Standing, standings_of
from interp_bench.analysis.transfer import Transfer
from interp_bench.board.gallery import Exhibit
from interp_bench.board.site.cards import ModelCard
from interp_bench.board.site.meetings import Meeting, Place, meetings_of
from interp_bench.board.site.page import Picture
from interp_bench.harness.trial import Status, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model as the trials know it."""

    id: str
    modality: str
    kind: str
    ladder: str
    params: int
    revisions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What trials say.

    Attributes:
        trials: the newest of each question, negative controls too.
        cells: of the planted problems.
        meetings: the cells of each technique on each model.
        standings: the rows of each track.
        bands: the same by modality and size.
        footholds: of each ``track/technique``.
        calibration, plantings, checks, discoveries, outcomes, statuses: why the numbers can be believed.
        subjects: the models, by id, LMs first and by size.
        exhibits: what the code says of techniques, by ``track/technique``; some may be unknown here.
        claims: of the debate, with what the trials say of each.
        transfers: which model predicts the largest.
        scales: how hard models are.
        rankings: ranks over complete rows.
        cards: what models.yaml says of models, by id.
        pictures: of answers, by ``track/technique``.
    """

    trials: tuple[Trial, ...]
    cells: tuple[Cell, ...]
    meetings: Mapping[Place, Meeting]
    standings: Mapping[str, tuple[Standing, ...]]
    bands: tuple[Band, ...]
    footholds: Mapping[str, Footholds]
    calibration: Calibration
    plantings: tuple[Planting, ...]
    checks: tuple[CheckSummary, ...]
    discoveries: Mapping[str, tuple[FalseDiscovery, ...]]
    outcomes: tuple[Outcome, ...]
    statuses: Mapping[Status, int]
    subjects: Mapping[str, Subject]
    exhibits: Mapping[str, Exhibit]
    claims: tuple[tuple[Claim, Finding], ...]
    transfers: tuple[Transfer, ...]
    scales: tuple[Cliffness, ...]
    rankings: tuple[Ranking, ...]
    cards: Mapping[str, ModelCard]
    pictures: Mapping[str, tuple[Picture, ...]]

    @property
    def planted(self) -> tuple[Trial, ...]:
        """The trials without negative controls."""
        return without_controls(self.trials)

    @property
    def rows(self) -> tuple[Standing, ...]:
        """All standings, by track."""
        return tuple(row for rows in self.standings.values() for row in rows)


def study_of(
    trials: Iterable[Trial],
    exhibits: Iterable[Exhibit] = (),
    cards: Iterable[ModelCard] = (),
    pictures: Iterable[Picture] = (),
    facts: Iterable[ModelFacts] = (),
) -> Study:
    """Work out everything; nothing depends on the order of the trials."""
    kept = newest(trials)
    planted = without_controls(kept)
    cells = cells_of_newest(planted)
    proofs = one_a_proof(planted)
    evidence = evidence_of(planted, facts, cells)
    return Study(
        trials=kept,
        cells=cells,
        meetings=meetings_of(cells),
        standings=standings_of(cells),
        bands=bands_of(cells),
        footholds=footholds_of(cells),
        calibration=calibrate(cells),
        plantings=plantings_of(proofs),
        checks=checks_of(proofs),
        discoveries=false_discoveries_of(kept) if len(planted) < len(kept) else {},
        outcomes=outcomes_of(kept),
        statuses=statuses_of(kept),
        subjects=_subjects(planted),
        exhibits={f"{one.track}/{one.name}": one for one in exhibits},
        claims=tuple((claim, measured(claim, evidence)) for claim in CLAIMS),
        transfers=evidence.transfers,
        scales=cliffness_of(cells),
        rankings=rankings_of(cells),
        cards={card.id: card for card in cards},
        pictures=_by_technique(pictures),
    )


def one_a_proof(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return one trial of those that share a problem and the very same certificate, which is most of them."""
    kept: dict[tuple[str, str, int, bool, int], Trial] = {}
    for trial in trials:
        kept[trial.task_id, trial.model, trial.seed, trial.status == "invalid", id(trial.certificate)] = trial
    return tuple(kept.values())


def _by_technique(pictures: Iterable[Picture]) -> dict[str, tuple[Picture, ...]]:
    found: dict[str, tuple[Picture, ...]] = {}
    for picture in pictures:
        name = f"{picture.track}/{picture.technique}"
        found[name] = (*found.get(name, ()), picture)
    return found


def _subjects(trials: Sequence[Trial]) -> dict[str, Subject]:
    revisions: dict[str, set[str]] = {}
    last: dict[str, Trial] = {}
    for trial in trials:
        revisions.setdefault(trial.model, set()).add(trial.model_revision)
        last[trial.model] = trial
    order = sorted(last.values(), key=lambda t: (t.modality != "lm", t.modality, t.params, t.model))
    return {
        trial.model: Subject(
            id=trial.model,
            modality=trial.modality,
            kind=trial.kind,
            ladder=trial.ladder,
            params=trial.params,
            revisions=tuple(sorted(revisions[trial.model])),
        )
        for trial in order
    }
