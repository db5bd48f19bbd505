"""What SQLite or the system says of a store's file, as one line with the way out."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from interp_bench.errors import one_line
from interp_bench.harness.folders import is_file, is_folder

WAY_OUT = "move it away, or give another file with --bench-store"
PATIENCE = 30.0
"""Seconds to wait for another process that is writing to the same store."""

_GO_ON = "then give the same command again: all that was stored is kept"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_SMALLEST = 100
"""Bytes of the header of an SQLite file; a store that nothing was written to has none at all."""


def explain(error: sqlite3.Error | OSError | UnicodeError, path: Path) -> str:
    """Return what is wrong with the store at ``path`` and how to mend it, in one line.

    Args:
        error: what was raised while it was opened, read or written.
        path: the file of the store.
    """
    if isinstance(error, OSError):
        if error.errno in _NO_SPACE:
            return _full(path)
        return f"cannot use the store {path}: {error.strerror or error}; {WAY_OUT}"
    code = primary_code(error)
    text = one_line(str(error))
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code == sqlite3.SQLITE_IOERR:
        return (
            f"the store {path} cannot be read or written ({text}): its disk may be full, over a quota or "
            f"failing; mend that, {_GO_ON}"
        )
    if code == sqlite3.SQLITE_READONLY:
        return (
            f"the store {path} is read-only; make the file and its folder writable, or give another file "
            "with --bench-store"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"the store {path} has been locked by another process for {PATIENCE:.0f} s; wait until that "
            "ends, or give another file with --bench-store"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return (
            f"cannot use the store {path}: {error}; see whether you may read and write it and its folder, or "
            "give another file with --bench-store"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return damaged(path, str(error))
    return f"cannot use the store {path}: {text}; {WAY_OUT}"


def primary_code(error: sqlite3.Error | UnicodeError) -> int:
    """Return the primary result code of SQLite, or 0 where the error is none of SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def damaged(path: Path, what: str) -> str:
    """Return the line for a store of which a part is missing or overwritten."""
    return f"the store {path} is damaged ({' '.join(what.split())}); {WAY_OUT}"


def refusal(path: Path) -> str:
    """Return why a path cannot be a store before SQLite looks at it, or an empty string.

    SQLite takes a file of one byte for an empty one, and would write over it.
    """
    if is_folder(path):
        return f"the store {path} is a folder; give a file with --bench-store"
    if os.path.exists(path) and not is_file(path):
        return f"the store {path} is no ordinary file; give another with --bench-store"
    if is_file(path) and 0 < path.stat().st_size < _SMALLEST:
        return f"cannot use the store {path}: file is not a database; {WAY_OUT}"
    return ""


def torn(connection: sqlite3.Connection, path: Path) -> str:
    """Return the line for a file that ends within a page, or an empty string.

    SQLite reads what is missing of the last page as zeros. While there is a write-ahead log, the
    page may lie whole in there.
    """
    page = int(connection.execute("PRAGMA page_size").fetchone()[0])
    if path.stat().st_size % page == 0 or has_log(path):
        return ""
    return damaged(path, "it ends within a page: a part was cut off")


def has_log(path: Path) -> bool:
    """Whether the write-ahead log beside a store holds anything, so that the file alone may be older."""
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def _full(path: Path) -> str:
    return f"the disk that holds the store {path} is full; free some space, {_GO_ON}"
