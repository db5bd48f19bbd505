"""Whatever is done to a submission: it is refused in one line, or nothing that it says was changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench.board.submission import Submission, pack, unpack
from interp_bench.errors import StoreError
from interp_bench.harness.trial import Trial
from tests.fuzz.conftest import fill
from tests.fuzz.strategies import damaged, mutated, one_line, share, values
from tests.fuzz.test_commands import given_to, run, stays_here
from tests.fuzz.test_trials import PIECES, WRONG, leaves
from tests.fuzz.trials import EXAMPLE, trials

SCORED = {**EXAMPLE, "ceiling_scores": {"mcc": 0.9}}
PACKED = pack([Trial(**{**SCORED, "seed": seed}) for seed in (0, 1)], run="r", note="n")
DOCUMENT = json.loads(PACKED)

contents = st.one_of(
    mutated(DOCUMENT, leaves).map(lambda data: json.dumps(data).encode()),
    damaged(st.just(PACKED), PIECES),
    st.builds(lambda wrong: PACKED.replace(b"0.5", wrong, 1), st.sampled_from(WRONG)),
    st.binary(max_size=40),
    values.map(lambda value: json.dumps(value).encode()),
)


def attempt(content: bytes) -> Submission | str:
    """Return what bytes hold, or the words in which they are refused."""
    try:
        return unpack(content, "file")
    except StoreError as error:
        return str(error)


def exactly(data: Any) -> str:
    """Return a value as text, in which 1, 1.0 and true are three things."""
    return json.dumps(data, sort_keys=True)


@example(PACKED)
@example(json.dumps(DOCUMENT).encode())
@example(PACKED.replace(b'"run":"r"', b'"run":"r","run":"r"'))
@example(PACKED.replace(b'"seed":0', b'"seed":false'))
@example(PACKED.replace(b'"schema_number":1', b'"schema_number":1.0'))
@example(PACKED.replace(b'"note":"n"', b'"note":"\\ud800"'))
@example(b"\xef\xbb\xbf" + PACKED)
@example(PACKED + b"{}")
@given(contents)
def test_a_change_is_refused_in_one_line(content: bytes) -> None:
    found = attempt(content)
    if isinstance(found, str):
        event(re.sub(r"'[^']*'|\d+", "#", found)[:40])
        assert one_line(found, most=1000), found
        assert found.startswith("file: ")
    else:
        event("read")
        assert exactly(json.loads(content)) == exactly(DOCUMENT)


@given(st.lists(trials, max_size=3), st.text(max_size=8))
def test_what_can_be_packed_is_read_back(many: list[Trial], note: str) -> None:
    try:
        content = pack(many, run="r", note=note)
    except StoreError as error:
        refusal = str(error)
    else:
        refusal = ""
    event(refusal[:20] or "packed")
    assert not refusal or one_line(refusal, most=1000)
    if refusal:
        return
    found = unpack(content, "file")
    assert pack(found.trials, run="r", note=note) == content
    assert found.head.note == note


commands = st.one_of(*map(given_to, ("submit", "verify", "board"))).map(
    lambda found: list(filter(stays_here, found))
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], tuple[int, str, str]]:
    """Return a function that runs a command in a folder with a submission and what else there may be."""
    fill(tmp_path)
    (tmp_path / "mine.json").write_bytes(PACKED)
    monkeypatch.chdir(tmp_path)
    return run


@share(2)
@example(["submit", "--out", "a" * 300])
@example(["verify", "mine.json", "--sample", "0", "--out", "text/below"])
@example(["board", "show", "--trials", "runs", "--track", "\udcff"])
@given(commands)
def test_commands_end_with_a_status_and_at_most_one_line(
    place: Callable[[list[str]], tuple[int, str, str]], arguments: list[str]
) -> None:
    arguments = [*arguments, "--sample=0"] if arguments[:1] == ["verify"] else arguments
    status, out, err = place(arguments)
    event(f"{arguments[:1]}: {status}")
    assert status in (0, 1, 4)
    assert len(err.splitlines()) == (status == 4)
    assert "Traceback" not in out + err
