"""Where tasks are: the folder of a project, or the one in the package, and the files in it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

TASK_FILES = "bench_*.py"
_SKIPPED = (".*", "*.egg", "build", "dist", "node_modules", "venv", "__pycache__")


def tasks_folder(root: Path) -> Path:
    """Return the folder of tasks of a project: its own ``tasks/``, else the one in the package."""
    own = root / "tasks"
    if own.is_dir() and any(_below(own)):
        return own
    packaged = Path(str(resources.files("interp_bench"))) / "data" / "tasks"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "tasks"


def is_file(path: Path) -> bool:
    """Return whether there is a file; there is none where the name is longer than any may be."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; there is none where the name is longer than any may be."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def task_files(places: Iterable[Path]) -> list[Path]:
    """Return every ``bench_*.py`` among files and below folders, each once, in order."""
    found: dict[Path, None] = {}
    for place in places:
        if is_file(place):
            if fnmatch.fnmatch(place.name, TASK_FILES):
                found[place.resolve()] = None
        elif is_folder(place):
            found.update(dict.fromkeys(_below(place)))
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not any(fnmatch.fnmatch(f, p) for p in _SKIPPED))
        for name in fnmatch.filter(sorted(files), TASK_FILES):
            yield Path(where, name).resolve()
