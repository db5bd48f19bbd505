"""Numbers as text, the same in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp_bench.analysis.cells import Cell
    from interp_bench.analysis.claims.base import Finding
    from interp_bench.analysis.controls import FalseDiscovery
    from interp_bench.analysis.reach import Reach
    from interp_bench.analysis.standings import Cost, Standing
    from interp_bench.analysis.stats import Interval
    from interp_bench.harness.trial import Control, Status

NOTHING = "-"
_MOST_DECIMALS = 6


def params_text(params: int) -> str:
    """Return e.g. ``850``, ``30k``, ``5.2m``, ``135m``, ``6.7b``."""
    if params < 1_000:
        return str(params)
    for size, unit in ((1_000, "k"), (1_000_000, "m"), (1_000_000_000, "b")):
        scaled = params / size
        if scaled < 999.5 or unit == "b":
            return (f"{scaled:.1f}".removesuffix(".0") if scaled < 9.95 else f"{scaled:.0f}") + unit
    raise AssertionError("unreachable: the largest unit takes any number")


def interval_text(interval: Interval | None) -> str:
    """Return e.g. ``0.84 ±0.05``; without ``±`` where one value gives no bounds, ``-`` for None."""
    if interval is None:
        return NOTHING
    return (
        f"{skill_text(interval.mean)} ±{interval.half:.2f}" if interval.bounded else skill_text(interval.mean)
    )


def skill_text(skill: float) -> str:
    """Return two decimals, and never ``-0.00``."""
    return f"{skill:.2f}" if round(skill, 2) else "0.00"


def finding_text(finding: Finding) -> str:
    """Return e.g. ``-0.012 (-0.034 to +0.010)``, the effect of a claim with its interval; ``-`` without."""
    if finding.effect is None or finding.low is None or finding.high is None:
        return NOTHING
    return f"{_signed(finding.effect)} ({_signed(finding.low)} to {_signed(finding.high)})"


def _signed(number: float) -> str:
    """Return three decimals with a sign; of what would be zero, the first figure, since its side decides."""
    if round(number, 3):
        return f"{number:+.3f}"
    if not round(number, _MOST_DECIMALS):
        return "+0.000"
    return f"{number:+.{-math.floor(math.log10(abs(number)))}f}"


def discovery_rows(
    rows: Iterable[FalseDiscovery], controls: Iterable[Control], verdict: str
) -> list[list[str]]:
    """Return the cells of a table of false discovery: technique, planted, each control, trials, verdict.

    Args:
        rows: one a technique.
        controls: the columns.
        verdict: what is said of a technique that finds what is not there.
    """
    controls = tuple(controls)
    return [
        [
            row.technique,
            NOTHING if row.planted is None else skill_text(row.planted),
            *(interval_text(row.skills.get(control)) for control in controls),
            part_text(row.answered, row.asked),
            verdict if row.found else ("" if row.decidable else "? (needs two trials)"),
        ]
        for row in rows
    ]


def seconds_text(seconds: float) -> str:
    """Return e.g. ``3 ms``, ``0.45 s``, ``12 s``, ``3.5 min``, ``2.5 h``."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "<1 ms"
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    if seconds < 7197:
        return f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 3.6e8 else "> 100,000 h"


def times_text(factor: float) -> str:
    """Return e.g. ``1.2x``, ``9.7x``, ``120x``, ``3,000x``: two figures."""
    rounded = float(f"{factor:.2g}")
    return f"{rounded:,.1f}x".replace(".0x", "x") if rounded < 10 else f"{rounded:,.0f}x"


def cost_text(cost: Cost | None) -> str:
    """Return e.g. ``0.45 s 12f 8b``: seconds, forwards and backwards."""
    if cost is None:
        return NOTHING
    passes = [
        f"{number:g}{letter}" for number, letter in ((cost.forwards, "f"), (cost.backwards, "b")) if number
    ]
    return " ".join([seconds_text(cost.seconds), *passes])


def reach_text(reach: Reach) -> str:
    """Return e.g. ``30k..5m``, ``30k~5m`` with gaps, ``5m`` for one model, ``none``, ``?`` if undecidable.

    On a ladder of one size (of training, say) it returns ``2 of 5 models``.
    """
    if reach.smallest is None or reach.largest is None:
        return "none" if reach.decidable else "?"
    if reach.smallest is reach.largest:
        return params_text(reach.smallest.params)
    if reach.smallest.params == reach.largest.params:
        return f"{len(reach.working)} of {len(reach.rungs)} models"
    low, high = params_text(reach.smallest.params), params_text(reach.largest.params)
    return f"{low}{'..' if reach.contiguous else '~'}{high}"


def edge_text(reach: Reach) -> str:
    """Return e.g. ``5m to 20m``; empty when no edge was seen."""
    return "" if reach.edge is None else " to ".join(map(params_text, reach.edge))


def count_text(counts: Mapping[Status, int]) -> str:
    """Return e.g. ``2 timed_out, 1 failed``."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def part_text(part: int, whole: int) -> str:
    """Return e.g. ``12 of 14``, or ``14`` where nothing is missing."""
    return str(part) if part == whole else f"{part} of {whole}"


def cells_text(row: Standing) -> str:
    """Return on how many cells a row rests: ``14``, ``12 of 14``, or ``10+2 of 14`` where it failed in 2."""
    failed = row.cells - row.answered
    return f"{row.answered}+{failed} of {row.places}" if failed else part_text(row.answered, row.places)


def plural(count: int, noun: str) -> str:
    """Return e.g. ``1 trial``, ``2 trials``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def names_text(names: Iterable[str], limit: int = 3) -> str:
    """Return a few names, or how many there are."""
    names = list(names)
    return (
        ", ".join(names)
        if len(names) <= limit
        else f"{', '.join(names[:limit])} and {len(names) - limit} more"
    )


def primary_text(cells: Iterable[Cell]) -> str:
    """Return the primary metrics that occur, e.g. ``mcc``."""
    return ", ".join(sorted({cell.trials[0].primary for cell in cells}))
