"""A run compared with an earlier one: the text of the comparison, and why the run fails by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp_bench.harness.trial import Trial
from interp_bench.plugin.plan import Plan


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
        failures=tuple(found.failures(gates.mean_failure)) if plan.options.compare_fail else (),
    )
