"""A run compared with an earlier one: the text of the comparison, and why the run fails by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interp_bench.harness.trial import Trial
from interp_bench.plugin.plan import Plan

if TYPE_CHECKING:
    from interp_bench.analysis.comparison import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a run is beside the one that it is compared with.

    Attributes:
        text: for the terminal.
        failures: why the run fails, a line each; none without ``--bench-compare-fail``.
    """

    text: str
    failures: tuple[str, ...]


def compared(plan: Plan, trials: Sequence[Trial]) -> Compared | None:
    """Compare the trials of a run with those that the plan names, or return None where it names none.

    Earlier trials outside the narrowed selection are not missed, nor are those that this run was to try
    and has not, as it was stopped.
    """
    if not plan.options.compare:
        return None
    from interp_bench.analysis.comparison import compare
    from interp_bench.board.comparison import comparison_text

    gates = plan.gates
    tried = {trial.cell for trial in trials}
    gone = gates.gone(plan.cells, narrowed=plan.options.narrowed)
    old = [trial for cell, trial in gates.before.items() if cell in tried]
    found = compare([*old, *gone], trials)
    return Compared(
        text=comparison_text(found, gates.source),
        failures=_failures(plan, found),
    )


def _failures(plan: Plan, found: Comparison) -> tuple[str, ...]:
    if not plan.options.compare_fail:
        return ()
    named = ((f"{row.track}/{row.technique}", row) for row in found.techniques)
    means = [plan.gates.mean_failure(name, row.before, row.now) for name, row in named]
    lost = [
        f"{row.track}/{row.technique} fails where it had a skill, in {row.lost} of its trials"
        for row in found.techniques
        if row.lost
    ]
    return tuple(f"--bench-compare-fail: {text}" for text in (*filter(None, means), *lost))
