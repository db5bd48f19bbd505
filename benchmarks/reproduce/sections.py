"""What a section of the reproduction is: units that are measured one by one, and statements about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from interp_bench.analysis.stats import mean

from .orderings import Statement, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One value.

    Attributes:
        metric: name of the metric.
        technique: name of the technique.
        unit: the seed or the circuit that differences are paired by; values of one unit are averaged.
        value: finite.
    """

    metric: str
    technique: str
    unit: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A part of a section that one process measures.

    Attributes:
        cell: names what is measured; what it means is the section's affair.
        seeds: how many plants.
        brief: whether to take the cheapest arguments, which say nothing of the orderings.
    """

    cell: tuple[str, ...]
    seeds: int
    brief: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One published result that is measured anew.

    Attributes:
        name: what the command calls it.
        title: what the page calls it.
        source: where it was published.
        scale: how the set-up here differs.
        unit: what the intervals are over.
        cells: what there is to measure; the first ones make up the brief profile.
        brief_cells: how many of them do.
        seeds: how many plants a cell has unless told otherwise.
        measure: measures a job; a function of a module, so that processes can be sent it.
        metrics: tables of the page, as a caption each and the metrics in it.
        statements: what was published.
        techniques: ids of the techniques of the package whose versions the values hang on.
    """

    name: str
    title: str
    source: str
    scale: str
    unit: str
    cells: tuple[tuple[str, ...], ...]
    brief_cells: int
    seeds: int
    measure: Callable[[Job], list[Measured]]
    metrics: tuple[tuple[str, tuple[str, ...]], ...]
    statements: tuple[Statement, ...]
    techniques: tuple[str, ...]

    def jobs(self, seeds: int | None = None, *, brief: bool = False) -> tuple[Job, ...]:
        """Return what there is to measure."""
        cells = self.cells[: self.brief_cells] if brief else self.cells
        return tuple(Job(cell=cell, seeds=seeds or self.seeds, brief=brief) for cell in cells)


def gathered(found: Iterable[Measured]) -> Values:
    """Return values by metric, technique and unit, in the order in which they were found."""
    parts: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for one in found:
        parts[one.metric, one.technique, one.unit].append(one.value)
    values: dict[str, dict[str, dict[str, float]]] = {}
    for (metric, technique, unit), several in parts.items():
        values.setdefault(metric, {}).setdefault(technique, {})[unit] = mean(several)
    return values


def scores(technique: str, unit: str, found: Iterable[tuple[str, Any]]) -> Sequence[Measured]:
    """Return the scores of one answer as measured values."""
    return [Measured(metric=m, technique=technique, unit=unit, value=float(v)) for m, v in found]
