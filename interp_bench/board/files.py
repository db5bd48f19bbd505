"""Files that appear whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from interp_bench.errors import StoreError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside ``path``, and put it there in one rename.

    Who reads ``path`` finds what was there before or all of ``content``: also after a kill, a power
    cut or a full disk, and with two processes that write it at once, of which the last one wins.

    Args:
        path: the file; folders above it are made. Behind a link, the file that it points to is written.
        content: all of it.

    Raises:
        StoreError: it cannot be written; what was there before still is.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.resolve()
        mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else _usual_mode()
        with tempfile.NamedTemporaryFile(
            dir=place.parent, prefix=f".{place.name}.", suffix=".partial", delete=False
        ) as stream:
            partial = Path(stream.name)
            stream.write(content)
            stream.flush()
            # Else a power cut may leave the new name with nothing behind it.
            os.fsync(stream.fileno())
        partial.chmod(mode)
        partial.replace(place)
    except BaseException as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            what = error.strerror or error
            raise StoreError(f"cannot write {path}: {what}; what was there before is as it was") from error
        raise


def _usual_mode() -> int:
    """Return the permissions of a file that this process makes."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
