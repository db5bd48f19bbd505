"""What a claim is, what it rests on, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np

from interp_bench.analysis.cells import Cell, cells_of
from interp_bench.analysis.transfer import Transfer, transfers_of
from interp_bench.harness.trial import Trial

Verdict = Literal["supported", "against", "undecided"]

VERDICTS: tuple[Verdict, ...] = ("supported", "against", "undecided")
"""In the order of every table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model besides its trials.

    Attributes:
        id, params, modality, ladder: as in its trials.
        axis: what the models of its ladder differ in, ``size`` or ``training``.
        trained: whether its weights come from training rather than from a seed; None where that is not known.
        metric: what the published figure of its capability measures; empty where there is none.
        capability: that figure; None where there is none.
        steps: optimiser steps after which its weights were kept, on a ladder of training; else None.
        width: size of its residual stream; None where it is not written down.
    """

    id: str
    params: int
    modality: str
    ladder: str
    axis: str = "size"
    trained: bool | None = None
    metric: str = ""
    capability: float | None = None
    steps: int | None = None
    width: int | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What every claim is measured on.

    Attributes:
        trials: all of them, older ones and negative controls too.
        cells: the newest of them by technique, task and model, without controls.
        models: facts by model id; a model of a trial that is not named here is known by its trials alone.
    """

    trials: tuple[Trial, ...]
    cells: tuple[Cell, ...]
    models: Mapping[str, ModelFacts]

    @cached_property
    def facts(self) -> Mapping[str, ModelFacts]:
        """The facts of every model that has trials, by id."""
        found = {}
        for trial in self.trials:
            if trial.model not in found:
                found[trial.model] = self.models.get(trial.model) or ModelFacts(
                    id=trial.model, params=trial.params, modality=trial.modality, ladder=trial.ladder
                )
        return MappingProxyType(dict(sorted(found.items())))

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """Which model predicts the largest, by track and modality."""
        return transfers_of(self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One mark of a chart.

    Attributes:
        x, y: where it lies, in the units of the axes.
        low, high: bounds of ``y``; None where it has none.
        group: what its colour stands for, e.g. a ladder.
        label: what it is, e.g. a model.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    group: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through two points or more.

    Attributes:
        x, y: its corners.
        group: the group of points that it belongs to; empty where it belongs to all.
        label: what it is.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    group: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a claim looks like, as plain data.

    Attributes:
        x_title, y_title: titles of the axes, with their units.
        x_log, y_log: whether an axis is logarithmic.
        points, lines: what is drawn.
    """

    x_title: str
    y_title: str
    x_log: bool = False
    y_log: bool = False
    points: tuple[Point, ...]
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the evidence says of a claim.

    Attributes:
        verdict: by the bounds of the claim.
        effect: the size of what was found; None where it could not be measured.
        low, high: its 95% interval; None likewise.
        unit: what ``effect`` means, e.g. ``skill per decade of parameters``.
        n: how many independent things it rests on; 0 where it could not be measured.
        n_of: what they are, e.g. ``models``.
        scope: on which models, tracks and tasks it rests, from the data.
        reason: one sentence, why this verdict, or what data is missing.
        chart: None where there is nothing to show.
    """

    verdict: Verdict
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str
    n: int = 0
    n_of: str
    scope: str = ""
    reason: str
    chart: Chart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A hypothesis of the debate, stated before its data is looked at.

    Attributes:
        name: short, for the command line.
        statement: one sentence that may be wrong.
        statistic: how it is measured, in words.
        bounds: when it is supported and when the evidence is against it.
        needs: the data without which it stays undecided.
        measure: computes the finding.
    """

    name: str
    statement: str
    statistic: str
    bounds: str
    needs: str
    measure: Callable[[Evidence], Finding]


def verdict_of(low: float, high: float, than: float = 0.0) -> Verdict:
    """Return ``supported`` for an interval above ``than``, ``against`` below it, else ``undecided``."""
    if low > than:
        return "supported"
    return "against" if high < than else "undecided"


def why(verdict: Verdict, than: float = 0.0) -> str:
    """Return the reason of a verdict by an interval."""
    words: dict[Verdict, str] = {
        "supported": f"the whole interval lies above {than:g}",
        "against": f"the whole interval lies below {than:g}",
        "undecided": f"the interval holds {than:g}",
    }
    return words[verdict]


def missing(unit: str, n_of: str, reason: str, *, scope: str = "", chart: Chart | None = None) -> Finding:
    """Return the finding of a claim that cannot be measured, with the data that is missing."""
    return Finding(verdict="undecided", unit=unit, n_of=n_of, reason=reason, scope=scope, chart=chart)


def evidence_of(
    trials: Iterable[Trial], models: Iterable[ModelFacts] = (), cells: Iterable[Cell] | None = None
) -> Evidence:
    """Return the evidence of trials.

    Args:
        trials: any trials, in any order.
        models: what else is known of their models.
        cells: those of the trials, where they are known already.
    """
    trials = tuple(trials)
    return Evidence(
        trials=trials,
        cells=cells_of(trials) if cells is None else tuple(cells),
        models=MappingProxyType({model.id: model for model in models}),
    )


def measured(claim: Claim, evidence: Evidence) -> Finding:
    """Return the finding of a claim; one that is too large for numbers is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        finding = claim.measure(evidence)
    points = finding.chart.points if finding.chart else ()
    numbers = (finding.effect, finding.low, finding.high, *(point.y for point in points))
    if all(number is None or math.isfinite(number) for number in numbers):
        return finding
    return missing(
        finding.unit, finding.n_of, "some skills are too large to be averaged", scope=finding.scope
    )
