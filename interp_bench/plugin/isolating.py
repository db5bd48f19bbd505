"""How a run keeps techniques apart: which processes call them, what these cannot read, and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.harness import discovery
from interp_bench.harness.calling import Caller, Here
from interp_bench.harness.folders import task_files
from interp_bench.harness.isolation.arranging import concealed, isolated, walls
from interp_bench.harness.isolation.registering import Registrar
from interp_bench.harness.isolation.staff import the_nursery
from interp_bench.harness.limits import parse_limits
from interp_bench.harness.seed_secret import secret_paths
from interp_bench.harness.store import DEFAULT_PATH

if TYPE_CHECKING:
    from interp_bench.plugin.options import Options

_JOURNALS = ("", "-wal", "-shm", "-journal")


def begin(options: Options) -> None:
    """Start the process that workers are forked from: it imports meanwhile what a plan imports here."""
    if options.isolate != "none":
        the_nursery(discovery.PACKAGES).start()


def registrar(options: Options, places: Sequence[Path]) -> Registrar | None:
    """Return what registers strangers' techniques, or None where they are imported into this process.

    Args:
        options: what the user asked for.
        places: files and folders of tasks.
    """
    if options.isolate == "none":
        return None
    return Registrar(the_nursery(discovery.PACKAGES), hidden_paths(options, places))


def caller(options: Options, places: Sequence[Path], *, workers: int) -> Caller:
    """Return how techniques are called.

    Args:
        options: what the user asked for.
        places: files and folders of tasks.
        workers: how many trials run at a time.

    Raises:
        InterpBenchError: a limit is no number.
    """
    limits = parse_limits(options.tier, workers=workers, timeout=options.timeout, memory=options.memory)
    if options.isolate == "none":
        return Here()
    return isolated(limits, warm=options.isolate == "warm", hidden=hidden_paths(options, places))


def hidden_paths(options: Options, places: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files and folders that workers cannot read: the store, tasks, results and planting."""
    store = options.store or options.root / DEFAULT_PATH
    stores = [store.with_name(store.name + end) for end in _JOURNALS]
    secrets = secret_paths(options.seed_secret, options.here)
    return (*secrets, *stores, *concealed(options.root, task_files(places)))


def described(options: Options) -> str:
    """Return how techniques are kept apart, for head and provenance of a run; empty where they are not."""
    return "" if options.isolate == "none" else walls(options.isolate)
