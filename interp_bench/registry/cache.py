"""Where fetched weights live on this machine, and how a folder appears there all at once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENVIRONMENT = "INTERP_BENCH_CACHE"

_STALE_SECONDS = 24 * 3600.0


def cache_folder() -> Path:
    """Return the cache: ``INTERP_BENCH_CACHE``, else the platform's folder for caches."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser() if named else _platform_folder() / "interp-bench"


def model_folder(model_id: str, revision: str) -> Path:
    """Return the folder of one model's converted weights; another revision has another folder."""
    return cache_folder() / "models" / f"{model_id}-{revision}"


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder`` in one rename, or vanishes on an error.

    What a killed process left of its own is removed by the next one, once it is a day old.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}."
    _remove_stale(folder.parent, prefix)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield work
        _flush(work)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Wait until the files of a folder are on the disk; else a power cut may leave their names only."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def _remove_stale(parent: Path, prefix: str) -> None:
    for left in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # another process may be removing it too
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
