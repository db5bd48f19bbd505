"""Whatever stands in files of trials: it is read, or one line says in which file and line it is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench.board import jsonl
from interp_bench.errors import InterpBenchError, StoreError
from interp_bench.harness.gates import load_comparison
from interp_bench.harness.trial import Trial
from tests.fuzz.strategies import damaged, mutated, one_line, scalars, values, words
from tests.fuzz.trials import EXAMPLE, trials

WRONG = (
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"9" * 5000, b"1" + b"0" * 400, b"-1", b"1.5",
    b"null",
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\u2028"', b"[" * 5000, b'{"a":' * 5000, b"[]" * 3,
    b'"',
    b"True", b"'a'", b"0x10", b"01", b"/* */", b'{"a": 1, "a": 2}', b"99", b"{}",
)  # fmt: skip
PIECES = (
    *WRONG, b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\x85", "\u2028".encode(), b"\r", b"\r\n", b"\n",
    b"\n\n", b" ",
    b"\t", b",", b"}", b"\xf0\x9f", b"\xed\xa0\x80",
)  # fmt: skip


def written(data: Any) -> bytes:
    return json.dumps(data).encode()


def line_with(key: str, wrong: bytes) -> bytes:
    """Return the line of the example with something else as the value of one key."""
    return written({**EXAMPLE, key: "HERE"}).replace(b'"HERE"', wrong)


leaves = scalars.filter(lambda value: not isinstance(value, int) or abs(value) < 10**4000) | values
lines = st.one_of(
    mutated(EXAMPLE, leaves).map(written),
    st.builds(line_with, st.sampled_from(list(EXAMPLE)), st.sampled_from(WRONG)),
    trials.map(lambda trial: jsonl.line(trial).encode()),
)
contents = st.one_of(
    st.lists(lines, max_size=3).map(b"\n".join),
    damaged(st.lists(lines, max_size=2).map(b"\n".join), PIECES),
    st.binary(max_size=40),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def refusal(call: Any) -> str:
    """Return the words of the error that a call ends with, or an empty string."""
    try:
        call()
    except InterpBenchError as error:
        return str(error)
    return ""


@example(b"")
@example(line_with("schema_number", b"2"))
@example(line_with("schema_number", b"0"))
@example(line_with("seconds", b"Infinity"))
@example(line_with("seconds", b"1e400"))
@example(line_with("params", b"1" + b"0" * 400))
@example(line_with("seed", b"1" + b"0" * 40))
@example(line_with("scores", b'{"a\\nb": "x"}'))
@example(line_with("warnings", b'{"\\u2028\\u001b[2J": "x"}'))
@example(line_with("technique_arguments", b'{"rate": Infinity}'))
@example(line_with("scores", b'{"' + b"9" * 5000 + b'": "x"}'))
@example(line_with("dials", b"[" * 5000))
@example(line_with("reason", b'"\\ud800"'))
@example(line_with("reason", '"a\u2028b\x85c"'.encode()))
@example(b"\xef\xbb\xbf" + line_with("seed", b"1"))
@example(line_with("seed", b"1") + b"\r\n \r\n" + line_with("seed", b"2"))
@given(contents)
def test_both_readers_read_or_name_file_and_line(folder: Path, content: bytes) -> None:
    path = folder / "features.jsonl"
    path.write_bytes(content)
    found: list[Trial] = []
    refused = refusal(lambda: found.extend(jsonl.read(folder)))
    before = refusal(lambda: load_comparison("features.jsonl", store=folder / "none", root=folder))
    assert refused == before
    if refused:
        event(re.sub(r"'[^']*'|\d+", "#", refused.partition("not a trial")[2])[:40])
        assert one_line(refused, most=1000), refused
        place = re.match(re.escape(f"{path}:") + r"(\d+): not a trial: .*; export it again", refused)
        assert place, refused
        assert 1 <= int(place[1]) <= content.count(b"\n") + 1
        return
    event("read")
    assert len(found) == sum(
        bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    )
    for trial in found:
        assert Trial.model_validate_json(jsonl.line(trial)) == trial


@example([Trial(**{**EXAMPLE, "reason": "a\u2028b\x85c\x1cd"})])
@example([Trial(**{**EXAMPLE, "track": "../elsewhere"})])
@example([Trial(**{**EXAMPLE, "track": ""})])
@example([Trial(**{**EXAMPLE, "track": "a\x00"})])
@given(st.lists(trials, min_size=1, max_size=4))
def test_what_is_exported_is_read_back_and_stays_in_its_folder(
    tmp_path_factory: pytest.TempPathFactory, many: list[Trial]
) -> None:
    folder = tmp_path_factory.mktemp("out")
    try:
        counts = jsonl.export(many, folder)
    except StoreError:
        event("refused")
        assert not all(re.fullmatch(r"[ab]", trial.track) for trial in many)
        assert not any(folder.iterdir())
    else:
        assert {path.parent for path in counts} == {folder}
        assert sorted(counts) == sorted(folder.iterdir())
        read = jsonl.read(folder)
        assert sorted(map(jsonl.line, read)) == sorted(map(jsonl.line, jsonl.newest(many)))
        assert load_comparison(str(folder), store=folder, root=folder) == {
            t.cell: t for t in read if not t.control
        }
    assert not [path for path in folder.parent.iterdir() if path.suffix == ".jsonl"]


@example("a" * 5000)
@example("a" * 300 + ".jsonl")
@example("\x00")
@given(words.filter(bool))
def test_what_there_is_not_cannot_be_compared_with(empty: Path, name: str) -> None:
    refused = refusal(lambda: load_comparison(name, store=empty / "store", root=empty))
    assert refused.startswith("--bench-compare: ")
    assert one_line(refused.replace(str(empty / name), ""))
