"""Stored trials beside others: what is new, gone, better, worse and the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.cli.parser import Commands
from interp_bench.cli.values import path_of
from interp_bench.harness.store import DEFAULT_PATH

if TYPE_CHECKING:
    from interp_bench.analysis.comparison import Comparison
    from interp_bench.harness.gates import Gates
    from interp_bench.harness.trial import Trial

SHOWN = 12
"""Single trials that fail are named up to this many."""


def compare(old: str, new: str, *, store: Path, fail: Iterable[str]) -> int:
    """Print the comparison of two runs, stores, files or folders; return 1 if it fails, else 0.

    Args:
        old: id of a run, ``last``, a store, or a file or folder of exported trials.
        new: the same, of what is compared with it.
        store: the store in which runs are looked up.
        fail: the largest drops allowed, ``skill:-5%`` of single trials or ``mean:-2%`` of techniques;
            where any is given, a skill that was lost fails too.

    Raises:
        InterpBenchError: there is no such run or file, it cannot be read, or a drop has another form.
    """
    from interp_bench.analysis.comparison import compare as compared
    from interp_bench.board.comparison import comparison_text
    from interp_bench.harness.gates import Gates, load_comparison, parse_max_drops, source_name

    fail, root = tuple(fail), Path.cwd()
    drop, mean_drop = parse_max_drops(fail, option="--fail")
    before, now = (load_comparison(side, store=store, root=root, asker="compare") for side in (old, new))
    names = [source_name(side, store=store, root=root) for side in (old, new)]
    found = compared(before.values(), now.values())
    print(comparison_text(found, names[0], names[1]))
    if not fail:
        return 0
    gates = Gates(drop=drop, mean_drop=mean_drop, before=before, option="--fail")
    failures = _failures(gates, now.values(), found)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def _failures(gates: Gates, trials: Iterable[Trial], found: Comparison) -> list[str]:
    """Return why single trials fail, as many as are listed of anything, then why techniques do."""
    texts = ((trial.name, gates.failure(trial)) for trial in trials)
    alone = [f"{name}: {text}" for name, text in texts if text]
    shown = alone[:SHOWN]
    if len(alone) > SHOWN:
        shown.append(f"{len(alone) - SHOWN} more trials dropped by more than {gates.option} allows")
    return [*shown, *found.failures(gates.mean_failure)]


def add_to(commands: Commands) -> None:
    """Add the command `compare`."""
    added = commands.add_parser(
        "compare", help="compare stored trials: what is new, gone, better, worse and the same"
    )
    added.add_argument("old", metavar="OLD", help="run id, `last`, store, or file or folder of *.jsonl")
    added.add_argument("new", metavar="NEW", nargs="?", default="last", help="likewise; default: %(default)s")
    added.add_argument(
        "--store", type=path_of, default=DEFAULT_PATH, help="of the runs; default: %(default)s"
    )
    added.add_argument(
        "--fail",
        action="append",
        default=[],
        metavar="DROP",
        help="exit with 1 where the skill of a trial (skill:-5%%) or the mean of a technique (mean:-2%%) "
        "dropped by more, or a technique now breaks (repeatable)",
    )
    added.set_defaults(
        run=lambda options: compare(options.old, options.new, store=options.store, fail=options.fail)
    )
