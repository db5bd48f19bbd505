"""Whatever stands in the rows and bytes of a store: it is read, or one line says what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench.errors import StoreError
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial
from tests.fuzz.strategies import SURROGATE, damaged, one_line, words
from tests.fuzz.test_trials import PIECES, line_with, lines
from tests.fuzz.trials import EXAMPLE, trials

READS: tuple[Callable[[Store], Any], ...] = (
    Store.trials,
    Store.latest,
    Store.settled,
    Store.runs,
    lambda store: store.get("k"),
    lambda store: store.trials("r"),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two trials, closed."""
    path = tmp_path_factory.mktemp("good") / "store.sqlite3"
    with Store.open(path) as store:
        store.put(Trial(**EXAMPLE))
        store.put(Trial(**{**EXAMPLE, "key": "other", "seed": 1}))
    return path


@contextmanager
def copied(path: Path) -> Iterator[tuple[Store, sqlite3.Connection]]:
    """Yield a copy of a store that is only in memory, and its connection."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with closing(sqlite3.connect(path)) as source:
            source.backup(connection)
        yield Store(connection, path), connection


def refusal(read: Callable[[Store], Any], store: Store) -> str:
    """Return the words of the error that a reading ends with, or an empty string."""
    try:
        read(store)
    except StoreError as error:
        return str(error)
    return ""


def check(store: Store, path: Path) -> None:
    found = list(filter(None, (refusal(read, store) for read in READS)))
    event(f"{len(found)} of {len(READS)} readings refused")
    for refused in found:
        assert one_line(refused, most=1500), refused
        assert str(path) in refused


rows = st.one_of(
    lines.map(lambda line: line.decode("utf-8", "replace")),
    damaged(lines, PIECES),
    damaged(lines, PIECES).map(lambda line: line.decode("utf-8", "replace")),
    st.binary(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)


@example("")
@example(line_with("schema_number", b"2").decode())
@example(line_with("scores", b'{"a\\nb": "x"}').decode())
@example(line_with("scores", b'{"' + b"9" * 5000 + b'": "x"}').decode())
@example(b"\xff")
@example("[" * 5000)
@given(rows)
def test_rows_that_hold_anything(good: Path, row: Any) -> None:
    with copied(good) as (store, connection):
        connection.execute("UPDATE trials SET json = ? WHERE key = 'k'", (row,))
        check(store, good)


edits = st.lists(
    st.tuples(
        st.integers(0, 2**15),
        st.integers(0, 60),
        st.binary(max_size=20) | st.sampled_from((b"\x00" * 100, b"\xff" * 100, b"SQLite", b"NULL")),
    ),
    min_size=1,
    max_size=3,
)


def check_file(good: Path, content: bytes) -> None:
    path = good.with_name("bytes.sqlite3")
    for beside in good.parent.glob("bytes.sqlite3*"):
        beside.unlink()
    path.write_bytes(content)
    try:
        store = Store.open(path)
    except StoreError as error:
        event("not opened")
        refused = str(error)
    else:
        with store:
            check(store, path)
        return
    assert one_line(refused, most=1500), refused
    assert str(path) in refused


@example([(b"task TEXT", 1, b"'")])
@example([(b"NULL", 4, b"\xff" * 4)])
@example([(b"run_id", 6, b"run_ix")])
@given(edits)
def test_files_with_damaged_bytes(good: Path, edits: list[tuple[int | bytes, int, bytes]]) -> None:
    content = good.read_bytes()
    for place, length, piece in edits:
        start = content.index(place) if isinstance(place, bytes) else place % len(content)
        content = content[:start] + piece + content[start + length :]
    check_file(good, content)


@given(st.lists(trials, min_size=1, max_size=3))
def test_what_is_put_is_what_is_read(good: Path, many: list[Trial]) -> None:
    with copied(good) as (store, connection):
        connection.execute("DELETE FROM uses")
        connection.execute("DELETE FROM trials")
        for trial in many:
            store.put(trial)
        last = {(trial.key, trial.run_id): trial for trial in many}
        read = {(trial.key, trial.run_id): trial for trial in store.trials()}
        assert {name: trial.model_dump_json() for name, trial in read.items()} == {
            name: trial.model_dump_json() for name, trial in last.items()
        }
        assert set(store.runs()) == {trial.run_id for trial in many}
        for trial in many:
            newest = store.get(trial.key)
            assert newest is not None
            assert newest.key == trial.key


@given(words.filter(lambda name: SURROGATE not in name))
def test_names_that_no_run_and_no_key_has(good: Path, name: str) -> None:
    with copied(good) as (store, _):
        if name not in ("k", "r", "other"):
            assert store.get(name) is None
            assert store.trials(name) == []
            with pytest.raises(StoreError):
                store.reuse(name, "r")
