"""Arranging isolation for a run: which processes call techniques, and what these cannot read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from interp_bench.harness import discovery, models
from interp_bench.harness.isolation.caller import Isolated
from interp_bench.harness.isolation.dumping import hide_memory
from interp_bench.harness.isolation.sandbox import offered
from interp_bench.harness.isolation.staff import the_nursery
from interp_bench.harness.limits import Limits
from interp_bench.harness.store import DEFAULT_PATH

_PACKAGE = Path(__file__).resolve().parents[2]


def isolated(limits: Limits, *, warm: bool = False, hidden: Sequence[Path] = ()) -> Isolated:
    """Return what calls techniques in workers.

    Args:
        limits: of each trial.
        warm: whether a worker stays for the next trial of the same source.
        hidden: files and folders that workers cannot read.
    """
    if any(offer.name == "files" and offer.lack for offer in offered()):
        # Landlock keeps workers out of the memory of other processes too; this is the next best.
        hide_memory()
    return Isolated(
        the_nursery(discovery.PACKAGES),
        limits,
        warm=warm,
        hidden=hidden,
        libraries=models.MODELS.libraries,
    )


def concealed(root: Path, tasks: Iterable[Path]) -> tuple[Path, ...]:
    """Return the files and folders of a project that workers cannot read: results, tasks and planting.

    Args:
        root: folder of the project.
        tasks: files of tasks.
    """
    planting = (_PACKAGE / "planting", _PACKAGE / "data" / "tasks")
    return (root / DEFAULT_PATH.parent, root / "leaderboard", root / "tasks", *tasks, *planting)


def walls(how: str) -> str:
    """Return how techniques are kept apart, for the provenance of a trial.

    Args:
        how: ``fresh`` or ``warm``.
    """
    names = [offer.name for offer in offered() if not offer.lack]
    return f"{how} workers behind {', '.join(names) or 'no walls'}"
