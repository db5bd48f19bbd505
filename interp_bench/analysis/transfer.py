"""Which cliff first: how well each model's ranking of techniques predicts that of the largest model."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from interp_bench.analysis.blocks import largest_block
from interp_bench.analysis.cells import Cell, rank_value
from interp_bench.analysis.concordance import FEWEST, concordance
from interp_bench.analysis.stats import Interval, mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """One model against the largest.

    Attributes:
        model, params, ladder: which.
        tau: Kendall's tau-b between the two rankings, over techniques; None where no ranking exists.
        tasks: the tasks over which skill is averaged: those of both models that most techniques took.
        techniques: how many techniques are ranked: those scored at every one of these tasks on both.
        left_out: how many more were scored on both, but not at every one of them.
        seconds: what these techniques and tasks cost on this model: the sum of median wall-clock
            seconds of one seed.
        seconds_on_largest: what the same cost on the largest.
    """

    model: str
    params: int
    ladder: str
    tau: Interval | None
    tasks: tuple[str, ...]
    techniques: int
    left_out: int
    seconds: float
    seconds_on_largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """All models of one track and modality against the largest of them.

    Attributes:
        track, modality: where.
        ladder: the ladder whose models these are; empty where all of the modality are.
        largest: the model that is predicted: the largest on which at least ``FEWEST`` techniques were
            scored.
        params: its parameters.
        retest: tau of the ranking by even seeds with that by odd seeds on the largest model itself, about
            as much as any model can be expected to reach; None with one seed.
        predictors: the models before it that share techniques with it, smallest first.
    """

    track: str
    modality: str
    ladder: str
    largest: str
    params: int
    retest: Interval | None
    predictors: tuple[Predictor, ...]

    @property
    def cheapest(self) -> Predictor | None:
        """The cheapest model that predicts the largest; None where none does.

        A model predicts it when the lower bound of its tau is above 0. Of those that do, the ones whose
        tau could be as high as the best lower bound cannot be told from the best; of these the one that
        takes the fewest seconds is named.
        """
        sure = [(row, row.tau) for row in self.predictors if row.tau is not None and row.tau.low > 0]
        if not sure:
            return None
        best = max(tau.low for _, tau in sure)
        as_good = [row for row, tau in sure if tau.high >= best]
        return min(as_good, key=lambda row: (row.seconds, row.params, row.model))


def transfers_of(cells: Iterable[Cell], *, by_ladder: bool = False) -> tuple[Transfer, ...]:
    """Return one table a track and modality, sorted by them, language models first.

    Args:
        cells: ceiling and floor rows are left out.
        by_ladder: one table a ladder, with the largest model of the ladder.
    """
    groups: dict[tuple[str, str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell.role == "technique" and cell.ranked is not None:
            ladder = cell.ladder if by_ladder else ""
            if ladder or not by_ladder:
                models = groups.setdefault((cell.track, cell.modality, ladder), {})
                models.setdefault(cell.model, []).append(cell)
    order = sorted(groups, key=lambda group: (group[0], group[1] != "lm", *group[1:]))
    found = (_transfer(*group, groups[group]) for group in order)
    return tuple(transfer for transfer in found if transfer is not None)


def _transfer(
    track: str, modality: str, ladder: str, models: Mapping[str, Sequence[Cell]]
) -> Transfer | None:
    """Return the table, or None where no model has enough techniques, or none stands before it."""
    ordered = sorted(models, key=lambda model: (models[model][0].params, model))
    enough = [model for model in ordered if len({cell.technique for cell in models[model]}) >= FEWEST]
    if not enough or enough[-1] == ordered[0]:
        return None
    largest = enough[-1]
    smaller = ordered[: ordered.index(largest)]
    there = {(cell.technique, cell.task): (cell, _seconds(cell)) for cell in models[largest]}
    rows = (_predictor(models[model], there) for model in smaller)
    return Transfer(
        track=track,
        modality=modality,
        ladder=ladder,
        largest=largest,
        params=models[largest][0].params,
        retest=_retest(models[largest]),
        predictors=tuple(row for row in rows if row is not None),
    )


def _retest(cells: Sequence[Cell]) -> Interval | None:
    """Return tau between even and odd seeds, over techniques with both at every task that counts."""
    halves: list[dict[tuple[str, str], float]] = []
    for parity in (0, 1):
        values = {(cell.technique, cell.task): _by_parity(cell, parity) for cell in cells}
        halves.append({key: mean(found) for key, found in values.items() if found})
    both: dict[str, set[str]] = {}
    for technique, task in halves[0].keys() & halves[1].keys():
        both.setdefault(technique, set()).add(task)
    block = largest_block(both)
    first, second = (
        [mean([half[name, task] for task in block.places]) for name in block.techniques] for half in halves
    )
    return concordance(first, second)


def _by_parity(cell: Cell, parity: int) -> list[float]:
    values = (rank_value(trial) for trial in cell.trials if trial.seed % 2 == parity)
    return [value for value in values if value is not None]


def _predictor(
    cells: Sequence[Cell], largest: Mapping[tuple[str, str], tuple[Cell, float]]
) -> Predictor | None:
    """Return a row, or None where no technique was scored at the same task on both models.

    Args:
        cells: of the model.
        largest: cells of the largest with their seconds, by technique and task.
    """
    here = {(cell.technique, cell.task): cell for cell in cells}
    there = {place: cell for place, (cell, _) in largest.items()}
    both: dict[str, set[str]] = {}
    for technique, task in here.keys() & there.keys():
        both.setdefault(technique, set()).add(task)
    block = largest_block(both)
    if not block.techniques:
        return None
    first, second = (
        [_skill(known, technique, block.places) for technique in block.techniques] for known in (here, there)
    )
    asked = [(technique, task) for technique in block.techniques for task in block.places]
    return Predictor(
        model=cells[0].model,
        params=cells[0].params,
        ladder=cells[0].ladder,
        tau=concordance(first, second),
        tasks=block.places,
        techniques=len(block.techniques),
        left_out=len(block.left_out),
        seconds=sum(_seconds(here[key]) for key in asked),
        seconds_on_largest=sum(largest[key][1] for key in asked),
    )


def _skill(known: Mapping[tuple[str, str], Cell], technique: str, tasks: Sequence[str]) -> float:
    cells = (known[technique, task] for task in tasks)
    return mean([cell.ranked.mean for cell in cells if cell.ranked is not None])


def _seconds(cell: Cell) -> float:
    """Return the median of the seeds that count, those that failed too: their time was spent."""
    return statistics.median(trial.seconds for trial in cell.trials if rank_value(trial) is not None)
