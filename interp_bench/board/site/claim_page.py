"""The claims of the debate, each with its verdict, what it rests on, and a chart."""

from __future__ import annotations

from collections.abc import Sequence

from interp_bench.analysis.claims import Chart, Claim, Finding
from interp_bench.board import figures
from interp_bench.board.claims import command_of
from interp_bench.board.site import charts
from interp_bench.board.site.page import Figure, Page
from interp_bench.board.site.tables import Column, Entry, Row, Table, number_entry, table

TRIALS = "leaderboard/trials"


def claim_page(found: Sequence[tuple[Claim, Finding]]) -> Page:
    """Return the page."""
    return Page(
        path="claims.html",
        template="claims.html",
        title="Claims",
        section="claims.html",
        context={
            "verdicts": _verdicts(found),
            "claims": [_claim(claim, finding) for claim, finding in found],
        },
    )


def _claim(claim: Claim, finding: Finding) -> dict[str, object]:
    chart = finding.chart if finding.chart and finding.chart.points else None
    return {
        "claim": claim,
        "finding": finding,
        "effect": figures.finding_text(finding),
        "command": command_of(claim, TRIALS),
        "figure": None if chart is None else _figure(claim, chart),
        "points": None if chart is None else _points(claim, chart),
    }


def _verdicts(found: Sequence[tuple[Claim, Finding]]) -> Table:
    columns = [
        Column(label="claim"),
        Column(label="verdict"),
        Column(label="effect", number=True, hint="with its 95% interval"),
        Column(label="in", hint="what the effect means"),
        Column(label="rests on", number=True),
    ]
    rows = [
        Row(
            entries=(
                Entry(text=claim.statement, href=f"#{claim.name}", look="wide"),
                Entry(text=finding.verdict, look=f"verdict {finding.verdict}"),
                number_entry(finding.effect, figures.finding_text(finding)),
                Entry(text=finding.unit, look="wide"),
                number_entry(finding.n or None, f"{finding.n} {finding.n_of}"),
            ),
            facets={"status": finding.verdict},
            key=claim.name,
        )
        for claim, finding in found
    ]
    return table("verdicts", "Claims and their verdicts", columns, rows)


def _figure(claim: Claim, chart: Chart) -> Figure:
    return Figure(
        id=claim.name,
        caption=f"{chart.y_title} against {chart.x_title}.",
        alt=f"{chart.y_title} against {chart.x_title}; the numbers are in the table of points below.",
        spec=charts.claim(chart),
    )


def _points(claim: Claim, chart: Chart) -> Table:
    columns = [
        Column(label="what"),
        Column(label="group"),
        Column(label=chart.x_title, number=True),
        Column(label=chart.y_title, number=True),
        Column(label="interval", number=True),
    ]
    rows = [
        Row(
            entries=(
                Entry(text=point.label or point.group),
                Entry(text=point.group),
                number_entry(point.x, f"{point.x:.4g}"),
                number_entry(point.y, f"{point.y:.4g}"),
                Entry(text=_interval(point.low, point.high), value=None if point.low is None else point.low),
            )
        )
        for point in chart.points
    ]
    return table(f"points-{claim.name}", f"Points of the chart: {claim.name}", columns, rows)


def _interval(low: float | None, high: float | None) -> str:
    return figures.NOTHING if low is None or high is None else f"{low:.3g} to {high:.3g}"
