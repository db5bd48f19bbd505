"""Claim: small models rank techniques as the largest does, so that the first cliff can be a small one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from interp_bench.analysis.claims.base import (
    Chart,
    Claim,
    Evidence,
    Finding,
    Point,
    missing,
    verdict_of,
    why,
)
from interp_bench.analysis.claims.scope import counted, listed, models_of
from interp_bench.analysis.concordance import FEWEST
from interp_bench.analysis.stats import Interval, t_interval
from interp_bench.analysis.transfer import Predictor, Transfer

AGREES = 0.5
"""Kendall's tau from which rankings count as the same: three of four pairs of techniques keep their order."""

SMALLER = 10
"""A predictor has at most one part in so many of the parameters of the largest."""

LEAST_TRACKS = 3

_UNIT = "Kendall's tau between the rankings"
_NEEDS = (
    f"{counted(LEAST_TRACKS, 'track')} with {FEWEST} techniques each on two models of one modality, one of "
    f"them a tenth of the other or smaller"
)


def agreement(tables: Sequence[Transfer]) -> Interval | None:
    """Return the mean tau over tracks with Student's t interval over them; None where there are too few.

    Each track counts with the mean over its small predictors, whatever their modality, since it asks the
    same techniques; techniques of two tracks are not the same, so tracks are independent.
    """
    by_track: dict[str, list[float]] = {}
    for table in tables:
        for _, tau in _small(table):
            by_track.setdefault(table.track, []).append(tau.mean)
    if len(by_track) < LEAST_TRACKS:
        return None
    return t_interval([fmean(by_track[track]) for track in sorted(by_track)])


def _small(table: Transfer) -> list[tuple[Predictor, Interval]]:
    """Return the small predictors whose ranking can be compared."""
    return [
        (row, row.tau)
        for row in table.predictors
        if row.tau is not None and row.techniques >= FEWEST and row.params * SMALLER <= table.params
    ]


def _measure(evidence: Evidence) -> Finding:
    tables = [table for table in evidence.transfers if _small(table)]
    found = agreement(tables)
    if found is None:
        have = listed(sorted({table.track for table in tables})) if tables else "none"
        return missing(_UNIT, "tracks", f"needs {_NEEDS}; there are {have}", chart=_chart(tables))
    verdict = verdict_of(found.low, found.high, AGREES)
    models = {name for t in tables for name in (t.largest, *(row.model for row, _ in _small(t)))}
    return Finding(
        verdict=verdict,
        effect=found.mean,
        low=found.low,
        high=found.high,
        unit=_UNIT,
        n=found.n,
        n_of="tracks",
        scope=f"{listed(sorted({t.track for t in tables}))}; "
        f"{models_of([evidence.facts[name] for name in sorted(models)])}",
        reason=why(verdict, AGREES) + _cheapest(tables),
        chart=_chart(tables),
    )


def _cheapest(tables: Sequence[Transfer]) -> str:
    """Return the cheapest model that predicts the largest, track by track."""
    named = [
        f"{table.cheapest.model} for {table.largest} in {table.track}"
        for table in tables
        if table.cheapest is not None
    ]
    return f"; the cheapest model that predicts the largest is {listed(named)}" if named else ""


def _chart(tables: Sequence[Transfer]) -> Chart | None:
    points = tuple(
        Point(
            x=float(row.params),
            y=tau.mean,
            low=tau.low,
            high=tau.high,
            group=f"{table.track}, {table.modality}",
            label=f"{row.model} for {table.largest}",
        )
        for table in tables
        for row, tau in _small(table)
    )
    if not points:
        return None
    return Chart(x_title="parameters of the small model", y_title=_UNIT, x_log=True, points=points)


FIRST_CLIFF = Claim(
    name="small-ranks-as-large",
    statement="Models of a tenth of the size rank techniques as the largest does.",
    statistic="Kendall's tau-b between the rankings of techniques on each model and on the largest of the "
    "same track and modality, over models of a tenth of its parameters or fewer; mean over tracks with "
    "Student's t interval",
    bounds=f"supported if the 95% interval lies above {AGREES:g} (three of four pairs of techniques keep "
    "their order), against if it lies below",
    needs=_NEEDS,
    measure=_measure,
)
