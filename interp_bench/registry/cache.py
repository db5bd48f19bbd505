"""Where fetched weights live on this machine, and how a folder appears there all at once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

ENVIRONMENT = "INTERP_BENCH_CACHE"


def cache_folder() -> Path:
    """Return the cache: ``INTERP_BENCH_CACHE``, else the platform's folder for caches."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("interp-bench"))


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
