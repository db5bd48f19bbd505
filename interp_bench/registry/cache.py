"""Where fetched weights live on this machine, and how a folder appears there all at once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT = "INTERP_BENCH_CACHE"


def cache_folder() -> Path:
    """Return the cache: ``INTERP_BENCH_CACHE``, else the platform's folder for caches."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser() if named else _platform_folder() / "interp-bench"


def model_folder(model_id: str, revision: str) -> Path:
    """Return the folder of one model's converted weights; another revision has another folder."""
    return cache_folder() / "models" / f"{model_id}-{revision}"


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder`` in one rename, or vanishes on an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield work
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
