"""Two runs compared: what is new, gone, better, worse and the same, by paired differences of skill.

=========== ===========================================================================================
verdict     of a cell (technique x task x model), from the differences of its seeds
=========== ===========================================================================================
same        every difference is 0 but for rounding; needs no test
better,     the 95% interval of the mean difference (paired t) leaves 0; each cell by itself, so that 1 in
worse       20 of those that only wavered is misjudged
undecided   it changed, and the interval holds 0; with one seed there is no interval
new, gone   only one of the runs has a skill there: the cell was not tried, was skipped, or its problem
            could not be certified
=========== ===========================================================================================

What fails counts as 0, the floor. Where a seed had a skill and now fails, that needs no test: the cell is
worse, and undecided if its mean rose all the same. Where a seed failed and now has a skill, the cell is
better unless its mean fell, which is for the test to say.

A technique is judged likewise over the mean differences of its cells, and over its seeds where it has one
cell. Pairing takes out what the cells of a model share, such as its size; a change that acts on one model
alone still makes its cells alike, so the number of models is told beside that of the cells. The p values
of all techniques are corrected to hold together (Holm). A track is judged over its places (task x model),
each the mean over techniques, since techniques on one problem change with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from interp_bench.analysis.cells import rank_value
from interp_bench.analysis.paired import Paired, holm, paired
from interp_bench.analysis.pairing import Seeds, StatusChange, seeds_of, status_changes_of
from interp_bench.analysis.parts import PartCount, changed_parts, count_parts
from interp_bench.analysis.stats import mean
from interp_bench.harness.trial import Role, Trial

Verdict = Literal["better", "worse", "undecided", "same", "new", "gone"]

VERDICTS: tuple[Verdict, ...] = ("better", "worse", "undecided", "same", "new", "gone")
"""In the order of every table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """One technique on one task and one model in both runs.

    Attributes:
        technique, track, task, model, role: what was tried, by bare names.
        verdict: see the table above.
        before, now: mean skill over the seeds that are paired, failing ones at 0; over all seeds of the
            one run where none is; None where that run has no skill.
        paired: what the differences say; None where no seed is paired.
        lost, found: seeds that had a skill and now fail, and the other way round.
        another_question: whether the question of a pair is not what it was.
    """

    technique: str
    track: str
    task: str
    model: str
    role: Role
    verdict: Verdict
    before: float | None
    now: float | None
    paired: Paired | None
    lost: int
    found: int
    another_question: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """One technique over its cells, or a track over its places.

    Attributes:
        technique: bare name; empty for a track.
        track: its track.
        verdict: by the corrected p value; without a cell in common, ``new`` or ``gone`` where all of its
            cells are, else ``undecided``.
        before, now: mean skill over the cells that are paired.
        paired: what the mean differences of the cells say, those of the seeds where there is one cell;
            None without a pair.
        p: the p value, corrected for the other rows of its kind; None where nothing is tested.
        cells, models: how many cells are paired, on how many models.
        lost, found: seeds that had a skill and now fail, and the other way round.
        verdicts: how many cells have each verdict, only those that occur.
    """

    technique: str
    track: str
    verdict: Verdict
    before: float | None
    now: float | None
    paired: Paired | None
    p: float | None
    cells: int
    models: int
    lost: int
    found: int
    verdicts: Mapping[Verdict, int]

    @property
    def name(self) -> str:
        """``track/technique``, or just the track."""
        return f"{self.track}/{self.technique}" if self.technique else self.track


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        cells: every cell that has a skill in one of the runs, sorted by technique, task and model.
        techniques, tracks: the same over cells, sorted by name.
        statuses: status changes, grouped.
        parts: what else is not what it was, with how many pairs of trials it concerns.
    """

    cells: tuple[CellChange, ...]
    techniques: tuple[Overall, ...]
    tracks: tuple[Overall, ...]
    statuses: tuple[StatusChange, ...]
    parts: tuple[PartCount, ...]

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        """How many cells have each verdict, only those that occur."""
        return _count(self.cells)

    def failures(self, of_mean: Callable[[str, float | None, float | None], str]) -> list[str]:
        """Return why the later run fails, a line each: by the mean of a technique, or by a lost skill.

        Args:
            of_mean: says why a technique of this name fails by its means before and now, or nothing.
        """
        texts = [of_mean(row.name, row.before, row.now) for row in self.techniques]
        lost = [
            f"{row.name} fails where it had a skill, in {row.lost} of its trials"
            for row in self.techniques
            if row.lost
        ]
        return [*filter(None, texts), *lost]


def compare(old: Iterable[Trial], new: Iterable[Trial]) -> Comparison:
    """Compare two runs; negative controls are left out.

    Args:
        old: trials of the earlier run.
        new: trials of the later run.
    """
    grouped = seeds_of(old, new)
    pairs = [pair for seeds in grouped.values() for pair in seeds.pairs]
    cells = tuple(cell for cell in map(_cell, grouped.values()) if cell is not None)
    rows: dict[tuple[str, str], list[CellChange]] = {}
    tracks: dict[str, list[CellChange]] = {}
    for cell in cells:
        rows.setdefault((cell.track, cell.technique), []).append(cell)
        if cell.role == "technique":
            tracks.setdefault(cell.track, []).append(cell)
    return Comparison(
        cells=cells,
        techniques=_together([_technique(rows[name]) for name in sorted(rows)]),
        tracks=_together([_track(tracks[name]) for name in sorted(tracks)]),
        statuses=status_changes_of(pairs),
        parts=count_parts((pair.old, pair.new) for pair in pairs),
    )


def _cell(seeds: Seeds) -> CellChange | None:
    """Return the cell, or None where neither run has a skill."""
    pairs = [pair for pair in seeds.pairs if pair.difference is not None]
    differences = [pair.difference for pair in pairs if pair.difference is not None]
    found = paired(differences) if differences else None
    before = _mean([p.old for p in pairs] if pairs else seeds.old.values())
    now = _mean([p.new for p in pairs] if pairs else seeds.new.values())
    if before is None and now is None:
        return None
    first = next(iter((*seeds.new.values(), *seeds.old.values())))
    lost, gained = sum(pair.lost for pair in pairs), sum(pair.found for pair in pairs)
    return CellChange(
        technique=first.technique,
        track=first.track,
        task=first.task,
        model=first.model,
        role=first.role,
        verdict=(
            _judged(found, found.p, lost=lost, gained=gained)
            if found
            else _absence(old=before is not None, new=now is not None)
        ),
        before=before,
        now=now,
        paired=found,
        lost=lost,
        found=gained,
        another_question=any(
            part.kind == "question" for pair in pairs for part in changed_parts(pair.old, pair.new)
        ),
    )


def _judged(found: Paired, p: float | None, *, lost: int, gained: int) -> Verdict:
    """Return the verdict by a p value, or without one where skills were lost or found."""
    change = found.difference.mean
    if lost:
        return "worse" if change <= 0 else "undecided"
    return "better" if gained and change >= 0 else found.tendency(p)


def _absence(*, old: bool, new: bool) -> Verdict:
    """Return the verdict where nothing is paired."""
    if old and new:
        return "undecided"
    return "gone" if old else "new"


def _technique(cells: Sequence[CellChange]) -> Overall:
    common = [cell.paired for cell in cells if cell.paired is not None]
    if len(common) == 1:
        return _overall(cells[0].technique, cells, common[0])
    means = [found.difference.mean for found in common]
    return _overall(cells[0].technique, cells, paired(means) if means else None)


def _track(cells: Sequence[CellChange]) -> Overall:
    places: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        if cell.paired is not None:
            places.setdefault((cell.task, cell.model), []).append(cell.paired.difference.mean)
    means = [mean(values) for values in places.values()]
    return _overall("", cells, paired(means) if means else None)


def _overall(technique: str, cells: Sequence[CellChange], found: Paired | None) -> Overall:
    """Return a row with its p value as it is by itself; ``_together`` corrects and judges it."""
    common = [cell for cell in cells if cell.paired is not None]
    verdicts = _count(cells)
    return Overall(
        technique=technique,
        track=cells[0].track,
        verdict=_absence(old=verdicts.keys() != {"new"}, new=verdicts.keys() != {"gone"}),
        before=_average([cell.before for cell in common if cell.before is not None]),
        now=_average([cell.now for cell in common if cell.now is not None]),
        paired=found,
        p=None if found is None else found.p,
        cells=len(common),
        models=len({cell.model for cell in common}),
        lost=sum(cell.lost for cell in cells),
        found=sum(cell.found for cell in cells),
        verdicts=verdicts,
    )


def _together(rows: Sequence[Overall]) -> tuple[Overall, ...]:
    """Correct the p values of rows for one another, and judge the rows by them."""
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    ps = [None if row.p is None else next(corrected) for row in rows]
    return tuple(
        row
        if row.paired is None
        else replace(row, p=p, verdict=_judged(row.paired, p, lost=row.lost, gained=row.found))
        for row, p in zip(rows, ps, strict=True)
    )


def _mean(trials: Iterable[Trial]) -> float | None:
    return _average([value for value in map(rank_value, trials) if value is not None])


def _average(values: Sequence[float]) -> float | None:
    return mean(values) if values else None


def _count(cells: Iterable[CellChange]) -> Mapping[Verdict, int]:
    counts = Counter(cell.verdict for cell in cells)
    return MappingProxyType({verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]})
