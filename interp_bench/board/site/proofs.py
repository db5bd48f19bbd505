"""Tables of what was proved of the problems."""

from __future__ import annotations

from collections.abc import Sequence

from interp_bench.analysis.certificates import CheckSummary, Planting
from interp_bench.board.site.tables import Column, Entry, Row, Table, number_entry, table


def plantings_table(plantings: Sequence[Planting]) -> Table:
    """Return how many problems of each task were planted, and how many proved."""
    columns = [
        Column(label="task"),
        Column(label="track"),
        Column(label="problems planted", number=True),
        Column(label="certified", number=True, hint="every check passed; only they are scored"),
    ]
    rows = [
        Row(
            entries=(
                Entry(text=planting.task),
                Entry(text=planting.track),
                number_entry(planting.planted),
                number_entry(planting.certified),
            ),
            facets={"track": planting.track},
        )
        for planting in plantings
    ]
    return table("plantings", "Problems planted and certified", columns, rows, filters=("track",))


def checks_table(checks: Sequence[CheckSummary]) -> Table:
    """Return the closest check of each kind over all certified problems of a task."""
    columns = [
        Column(label="task"),
        Column(label="track"),
        Column(label="check"),
        Column(label="problems", number=True),
        Column(label="checks", number=True),
        Column(label="closest value", number=True, hint="the one with the least margin to its bound"),
        Column(label="bound", number=True),
    ]
    rows = [
        Row(
            entries=(
                Entry(text=check.task),
                Entry(text=check.track),
                Entry(text=check.check),
                number_entry(check.problems),
                number_entry(check.count),
                Entry(text=f"{check.worst.value:.4g}", value=str(check.worst.value)),
                Entry(text=f"{check.worst.relation} {check.worst.bound:g}", value=str(check.worst.bound)),
            ),
            facets={"track": check.track, "task": check.task},
        )
        for check in checks
    ]
    return table(
        "checks", "The closest check of every kind", columns, rows, filters=("track", "task"), search=True
    )
