"""The store of trials: one embedded SQLite file, to which only one process of a run writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from interp_bench.errors import StoreError
from interp_bench.harness import store_faults
from interp_bench.harness.folders import is_file
from interp_bench.harness.keys import is_settled
from interp_bench.harness.store_faults import WAY_OUT
from interp_bench.harness.trial import SCHEMA, Trial, fault_in

DEFAULT_PATH = Path(".interp-bench") / "store.sqlite3"
"""Where the store of a project is, below its root folder."""

APPLICATION_ID = 0x1B_E9_C4_01
"""Written into the header of the file, so that another program's database is recognised."""

_LAYOUT = """
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    technique TEXT NOT NULL,
    task TEXT NOT NULL,
    model TEXT NOT NULL,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    skill REAL,
    seconds REAL NOT NULL,
    json TEXT NOT NULL,
    UNIQUE (key, run_id)
);
CREATE INDEX trials_by_cell ON trials (technique, task, model, seed);
CREATE TABLE uses (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    trial_id INTEGER NOT NULL REFERENCES trials (id),
    UNIQUE (run_id, trial_id)
);
CREATE INDEX uses_by_trial ON uses (trial_id);
"""

# Not a column, so that files from before there were controls are read as they are.
_CONTROL = "coalesce(json_extract(t.json, '$.control'), '')"


class Store:
    """Trials by content key and by run.

    A run computes trials (`put`) and takes over earlier ones whose question has not changed
    (`reuse`); both belong to it afterwards. A trial computed anew under the same key by a later
    run is a row of its own, so nothing that an earlier run measured is lost. One process writes:
    the workers of pytest-xdist send their trials to the controller, and a second run on the same
    file waits for its turn (write-ahead log, 30 s).

    Each trial is a transaction of its own. One that `put` has returned from is there after the
    process is killed, and after a power cut as far as the disk keeps what it confirms; one that was
    being written is there whole or not at all, and the next process that opens the file sees to that.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store at ``path``, and make it when there is none.

        A file that this process may only read is opened for reading, in a folder where nothing may be
        written too; `require_writable` refuses it.

        Raises:
            StoreError: the file is damaged, of another program, of a newer schema, or no file; the line
                says the way out. The file is as it was.
        """
        path = Path(path)
        if fault := store_faults.refusal(path):
            raise StoreError(fault)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_connect(str(path), path), path)
        except (sqlite3.Error, OSError, UnicodeError) as error:
            if not _only_readable(error, path):
                raise StoreError(store_faults.explain(error, path)) from error
        try:
            return cls(_connect(f"{path.absolute().as_uri()}?immutable=1", path), path)
        except sqlite3.Error as error:
            raise StoreError(store_faults.explain(error, path)) from error

    def require_writable(self) -> None:
        """Refuse a store that nothing can be added to, before anything is computed for it.

        Raises:
            StoreError: the file or its folder is read-only, or another process keeps it locked.
        """
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                # SQLite begins a transaction on a file that it may only read; this it refuses.
                self._connection.execute("DELETE FROM uses WHERE sequence < 0")
            finally:
                _roll_back(self._connection)

    def put(self, trial: Trial) -> None:
        """Add a trial; within one run a second one of the same key replaces the first.

        Raises:
            StoreError: the file cannot be written.
        """
        row = (
            trial.key,
            trial.run_id,
            trial.technique_id,
            trial.task_id,
            trial.model,
            trial.seed,
            trial.status,
            trial.skill,
            trial.seconds,
            trial.model_dump_json(),
        )
        with self._transaction(durable=True) as connection:
            (trial_id,) = connection.execute(
                "INSERT INTO trials (key, run_id, technique, task, model, seed, status, skill, seconds, json)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (key, run_id) DO UPDATE SET status = excluded.status, skill = excluded.skill,"
                " seconds = excluded.seconds, json = excluded.json RETURNING id",
                row,
            ).fetchone()
            _use(connection, trial.run_id, trial_id)

    def reuse(self, key: str, run: str) -> None:
        """Make the newest trial of this key part of ``run`` too.

        Raises:
            StoreError: no trial has this key, or the file cannot be written.
        """
        with self._transaction(durable=False) as connection:
            row = connection.execute(
                "SELECT t.id FROM trials t JOIN uses u ON u.trial_id = t.id WHERE t.key = ?"
                " ORDER BY u.sequence DESC LIMIT 1",
                (key,),
            ).fetchone()
            if row is None:
                raise StoreError(f"the store {self.path} holds no trial of key {key}")
            _use(connection, run, row[0])

    def get(self, key: str) -> Trial | None:
        """Return the newest trial of this content key, or None."""
        found = self._read(
            "SELECT t.json FROM trials t JOIN uses u ON u.trial_id = t.id WHERE t.key = ?"
            " ORDER BY u.sequence DESC LIMIT 1",
            (key,),
        )
        return found[0] if found else None

    def settled(self) -> frozenset[str]:
        """Return the content keys whose newest trial a later run takes over; see `keys`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT t.key, t.status, json_extract(t.json, '$.ceiling_scores') NOT IN ('{}', ''),"
                " max(u.sequence) FROM trials t JOIN uses u ON u.trial_id = t.id GROUP BY t.key"
            ).fetchall()
        return frozenset(key for key, status, posed, _ in rows if is_settled(status, posed=bool(posed)))

    def trials(self, run: str | None = None) -> list[Trial]:
        """Return the trials that belong to a run, reused ones included, or all; oldest first."""
        if run is None:
            return self._read("SELECT json FROM trials ORDER BY id")
        return self._read(
            "SELECT t.json FROM trials t JOIN uses u ON u.trial_id = t.id WHERE u.run_id = ?"
            " ORDER BY u.sequence",
            (run,),
        )

    def latest(self) -> list[Trial]:
        """Return the trial last computed or reused for each (technique, task, model, seed, control)."""
        return self._read(
            "SELECT t.json, max(u.sequence) AS newest FROM trials t JOIN uses u ON u.trial_id = t.id"
            f" GROUP BY t.technique, t.task, t.model, t.seed, {_CONTROL}"
            f" ORDER BY t.task, t.model, t.technique, t.seed, {_CONTROL}"
        )

    def runs(self) -> list[str]:
        """Return the ids of all runs, oldest first."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT run_id FROM uses GROUP BY run_id ORDER BY min(sequence)"
            ).fetchall()
        return [row[0] for row in rows]

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, query: str, arguments: tuple[str, ...] = ()) -> list[Trial]:
        with self._errors():
            rows = self._connection.execute(query, arguments).fetchall()
            return [Trial.model_validate_json(row[0]) for row in rows]

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """Commit what the block does, or nothing of it; wait for the disk only for what would be lost."""
        with self._errors():
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                _roll_back(self._connection)
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(store_faults.explain(error, self.path)) from error
        except ValidationError as error:
            raise StoreError(
                f"the store {self.path} holds a trial that cannot be read ({fault_in(error)}); {WAY_OUT}"
            ) from error


def _connect(database: str, path: Path) -> sqlite3.Connection:
    """Return a connection to a file that is a store, made where there was none."""
    connection = sqlite3.connect(
        database, timeout=store_faults.PATIENCE, isolation_level=None, uri=database.startswith("file:")
    )
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _only_readable(error: sqlite3.Error | OSError | UnicodeError, path: Path) -> bool:
    """Whether a file cannot be opened only because its write-ahead log cannot be made beside it."""
    refused = isinstance(error, sqlite3.Error) and store_faults.primary_code(error) in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    )
    return refused and is_file(path) and not store_faults.has_log(path)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file, and refuse any file that is not a store of this schema."""
    if _number(connection, "application_id") != APPLICATION_ID:
        _create(connection, path)
    schema = _number(connection, "user_version")
    if schema > SCHEMA:
        raise StoreError(
            f"the store {path} has schema {schema} and this interp_bench reads up to {SCHEMA}; "
            f"upgrade interp_bench, or {WAY_OUT}"
        )
    if cut := store_faults.torn(connection, path):
        raise StoreError(cut)
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise StoreError(store_faults.damaged(path, damage))
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Refused while another process is writing; the file works without it, and the next one sets it.
        if store_faults.primary_code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY):
            raise


def _create(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        owner = _number(connection, "application_id")
        entries = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        # Another process may have made the tables since the header was read.
        if owner != APPLICATION_ID:
            if owner or entries:
                raise StoreError(f"{path} is a database of another program, not a store of trials; {WAY_OUT}")
            for statement in filter(str.strip, _LAYOUT.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    # On a full disk SQLite has done so itself, and a second time would hide the first error.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _use(connection: sqlite3.Connection, run: str, trial_id: int) -> None:
    connection.execute("DELETE FROM uses WHERE run_id = ? AND trial_id = ?", (run, trial_id))
    connection.execute("INSERT INTO uses (run_id, trial_id) VALUES (?, ?)", (run, trial_id))
