"""Whatever is given to ``interp-bench``: it ends with 0, 1 or 4 and at most one line of error."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench import registry
from interp_bench.cli import catalogue, listing, main
from interp_bench.errors import PlantingError, UnavailableError
from interp_bench.harness import models
from tests.cli.conftest import MODELS
from tests.fuzz.conftest import fill
from tests.fuzz.strategies import SURROGATE, mixed_case, share, words

# Before any test puts pretended entries in the place of these, which would then be lost.
ENTRIES = catalogue.load_entries()
MODEL_IDS = ("native-small", "native-large", "resnet-absent", "resnet-random")
TASKS = ("dictionary", "features/dictionary", "concept", "ioi", "evidence", "trigger", "program")
PATHS = (
    "store.sqlite3",
    "text",
    "runs",
    "bad.jsonl",
    "new/folder",
    "leaderboard/trials",
    "text/below",
    "a" * 300,
)
DIALS = (
    "ratio=64", "samples=64", "ratio=1e3", "ratio=1e999", "ratio=NaN", "ratio=true",
    "ratio=null",
    'ratio="x"', "ratio=", "=1", "ratio=" + "9" * 99, "ratio=" + "[" * 99, "samples=1.5",
)  # fmt: skip
SIZES = ("1.3b", "135,000,000", "1e9", "1e99", "0", "-1", "nan", "inf", "1e400", "٣k", "9" * 99 + "m")
TIMES = ("10min", "90s", "1h", "1e99h", "0s", "-1s", "nan", "10", "1e-400s", "٣s")
ADVISED = ["recommend", "--track", "features", "--modality", "lm", "--params", "1.3b"]
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "models": {
        "--tier": ("quick", "standard", "full"), "--ladder": ("native-ln", "pair"), "--modality": ("lm",
        "image"),
        "--json": (),
    },
    "techniques": {"--track": ("features", "circuits"), "--modality": ("lm", "image"), "--json": ()},
    "tasks": {"--track": ("features", "circuits"), "--modality": ("lm", "image"), "--json": ()},
    "show": {"": (*MODEL_IDS, *TASKS, "pca", "features/pca"), "--json": ()},
    "export": {"--store": PATHS, "--run-id": ("last", "r"), "--out": PATHS},
    "pictures": {
        "--technique": ("features/pca", "pca", "eap", "no"), "--model": MODEL_IDS, "--seed": ("0", "-1"),
        "--out": PATHS,
    },
    "leaderboard": {"--trials": PATHS, "--out": PATHS, "--check": ()},
    "board": {
        "": ("show", "show", "show"), "--track": ("features", "circuits"), "--ladder": ("native-ln", "pair"),
        "--trials": PATHS, "--store": PATHS,
    },
    "submit": {"--run": ("last", "r"), "--store": PATHS, "--out": PATHS, "--note": ("by me",)},
    "verify": {
        "": ("mine.json", *PATHS), "--seed": ("0", "-1"), "--tolerance": ("0", "0.5", "nan"), "--out": PATHS,
        "--technique": PATHS,
    },
    "recommend": {
        "--track": ("features", "circuits"), "--modality": ("lm", "image"), "--params": SIZES,
        "--budget": TIMES, "--access": ("forward", "gradients"), "--top": ("3", "0", "9" * 30),
        "--trials": PATHS, "--json": (),
    },
    "claims": {"": ("larger-lms-better", "capability-window"), "--trials": PATHS, "--json": ()},
    "fetch": {"": MODEL_IDS},
    "certify": {"": (*TASKS, *MODEL_IDS), "--seed": ("0", "7", "-1", "9" * 20), "--dial": DIALS,
    "--json": ()},
}  # fmt: skip
FLAGS = ("--help", "--version", "-h", "--", "-", "--json=1", "--check=x", "--store", "@text")


def given_to(command: str) -> st.SearchStrategy[list[str]]:
    """Return words that follow a command: its own options, mostly with values that mean something."""
    parts = []
    for name, known in OPTIONS[command].items():
        if not known:
            parts.append(st.just([name]))
            continue
        value = st.one_of(st.sampled_from((*known, *known, "--", "-", "")), mixed_case(known))
        parts.append(value.map(lambda text, name=name: [name, text] if name else [text]))
        if name:
            parts.append(value.map(lambda text, name=name: [f"{name}={text}"]))
    parts.append(st.one_of(words, st.sampled_from(FLAGS)).map(lambda word: [word]))
    many = st.lists(st.one_of(parts), max_size=4).map(lambda found: [word for part in found for word in part])
    if command == "recommend":
        many = st.one_of(many, many.map(lambda rest: [*ADVISED[1:], "--trials", "runs", *rest]))
    if command == "certify":
        whole = st.tuples(st.sampled_from(TASKS), st.sampled_from(MODEL_IDS)).map(list)
        many = st.one_of(many, st.builds(list.__add__, whole, many))
    return many.map(lambda rest: [command, *rest])


def stays_here(word: str) -> bool:
    """Return whether a word names no place outside of the folder of the test."""
    return not re.search(r"(^|=)[/~]|\.\.", word)


arguments = st.one_of(
    *(given_to(name) for name in OPTIONS if name != "verify"),
    *map(given_to, ("export", "leaderboard", "certify")),
    st.lists(mixed_case(FLAGS), max_size=3),
).map(lambda found: list(filter(stays_here, found)))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], tuple[int, str, str]]:
    """Return a function that runs a command, with all that takes long stopped where it begins."""

    def stopped(*_: object) -> None:
        raise PlantingError("stopped for the test")

    def absent(spec: Any) -> None:
        if spec.id == "resnet-absent":
            raise UnavailableError("not\nhere")

    monkeypatch.setattr(catalogue, "load_entries", lambda: ENTRIES)
    monkeypatch.setattr(listing, "load_entries", lambda: ENTRIES)
    monkeypatch.setattr(models.MODELS, "open", stopped)
    monkeypatch.setattr(registry, "fetch", absent)
    monkeypatch.setenv("INTERP_BENCH_MODELS", str(tmp_path / "models.yaml"))
    monkeypatch.setenv("INTERP_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models.yaml").write_text(MODELS, "utf-8")
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    return run


def run(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command with output to a terminal that takes nothing but UTF-8."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    return status, written(out), written(err)


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@example(["export", "--store", "a" * 300])
@example(["leaderboard", "--trials", "runs", "--out", "a" * 300])
@example(["leaderboard", "--trials", "runs", "--out", SURROGATE])
@example(["leaderboard", "--trials", "a" * 300])
@example(["claims", "--trials", "runs"])
@example(["claims", "larger-lms", "--trials", "runs"])
@example(["leaderboard", "--trials", "runs", "--check", "--out", "x\ny"])
@example(["export", "--store", "\x00"])
@example(["export", "--store=--"])
@example(["models", "--tier=--"])
@example(["certify", "dictionary", "native-small", "--dial=--"])
@example(["show", "--"])
@example(["fetch", "--", "--"])
@example(["export", "--store", "store.sqlite3", "--out", "\x00"])
@example(["export", "--store", "store.sqlite3", "--out", "text"])
@example(["certify", "dictionary", "native-small", "--seed", "9" * 20])
@example(["certify", "dictionary", "native-small", "--seed", "-1"])
@example(["certify", "dictionary", "native-small", "--dial", "ratio=" + "1" + "0" * 400])
@example(["certify", "dictionary", "native-small", "--dial", "ratio=" + "[" * 5000])
@example(["show", SURROGATE])
@example([*ADVISED, "--trials", "runs"])
@example([*ADVISED, "--trials", "runs", "--budget", "1e99h", "--json"])
@example([*ADVISED, "--trials", "a" * 300])
@example([*ADVISED, "--params", "1e400"])
@example(["fetch", "resnet-absent", "native-small"])
@given(arguments)
def test_it_ends_with_a_status_and_at_most_one_line(
    here: Callable[[list[str]], tuple[int, str, str]], arguments: list[str]
) -> None:
    status, out, err = here(arguments)
    event(f"{arguments[0] if arguments and arguments[0] in OPTIONS else 'odd'}: {status}")
    assert status in (0, 1, 4)
    lines = err.splitlines()
    if status == 4:
        assert len(lines) == 1
        assert not out or arguments[0] == "fetch"
    if status == 0:
        assert not err
    assert all(line.startswith("interp-bench: ") for line in lines)
    assert "Traceback" not in err + out


@share(100)
@given(st.lists(words.filter(stays_here), max_size=1))
def test_the_doctor_needs_nothing(
    here: Callable[[list[str]], tuple[int, str, str]], arguments: list[str]
) -> None:
    status, out, err = here(["doctor", *arguments])
    assert status in (0, 1, 4)
    assert bool(out) == (status != 4)
    assert len(err.splitlines()) == (status == 4)


def test_the_stream_is_put_back(here: Callable[[list[str]], tuple[int, str, str]]) -> None:
    before = sys.stdout
    here(["show", "native-small"])
    assert sys.stdout is before
