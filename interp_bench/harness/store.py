"""The store of trials: one embedded SQLite file, to which only one process of a run writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from interp_bench.errors import StoreError, one_line
from interp_bench.harness.keys import is_settled
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

_WAY_OUT = "move it away, or give another file with --bench-store"


class Store:
    """Trials by content key and by run.

    A run computes trials (`put`) and takes over earlier ones whose question has not changed
    (`reuse`); both belong to it afterwards. A trial computed anew under the same key by a later
    run is a row of its own, so nothing that an earlier run measured is lost. One process writes:
    the workers of pytest-xdist send their trials to the controller, and a second run on the same
    file waits for its turn (write-ahead log, 30 s).
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store at ``path``, and make it when there is none.

        Raises:
            StoreError: the file is damaged, of another program, or of a newer schema.
        """
        path = Path(path)
        connection = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            _prepare(connection, path)
        except (sqlite3.Error, OSError, UnicodeError, StoreError) as error:
            if connection is not None:
                connection.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"cannot use the store {path}: {one_line(str(error))}; {_WAY_OUT}") from error
        return cls(connection, path)

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
        with self._transaction() as connection:
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
        with self._transaction() as connection:
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
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(
                f"cannot use the store {self.path}: {one_line(str(error))}; {_WAY_OUT}"
            ) from error
        except ValidationError as error:
            raise StoreError(
                f"the store {self.path} holds a trial that cannot be read ({fault_in(error)}); {_WAY_OUT}"
            ) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file, and refuse any file that is not a store of this schema."""
    connection.execute("PRAGMA busy_timeout = 30000")
    if _number(connection, "application_id") != APPLICATION_ID:
        _create(connection, path)
    schema = _number(connection, "user_version")
    if schema > SCHEMA:
        raise StoreError(
            f"the store {path} has schema {schema} and this interp_bench reads up to {SCHEMA}; "
            f"upgrade interp_bench, or {_WAY_OUT}"
        )
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise StoreError(f"the store {path} is damaged ({' '.join(damage.split())}); {_WAY_OUT}")
    # Refused while another process is writing; the file works without it, and the next one sets it.
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    # Every trial is a commit; a power cut may lose the last one, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")


def _create(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        owner = _number(connection, "application_id")
        entries = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        # Another process may have made the tables since the header was read.
        if owner != APPLICATION_ID:
            if owner or entries:
                raise StoreError(
                    f"{path} is a database of another program, not a store of trials; {_WAY_OUT}"
                )
            for statement in filter(str.strip, _LAYOUT.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _use(connection: sqlite3.Connection, run: str, trial_id: int) -> None:
    connection.execute("DELETE FROM uses WHERE run_id = ? AND trial_id = ?", (run, trial_id))
    connection.execute("INSERT INTO uses (run_id, trial_id) VALUES (?, ?)", (run, trial_id))
