"""Whatever stands in models.yaml: it loads, or one line says where and why it does not."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import event, example, given
from hypothesis import strategies as st

from interp_bench.errors import RegistryError
from interp_bench.registry import Registry, load_registry
from interp_bench.registry.sources import NATIVE_KEYS, SOURCE_KINDS
from tests.fuzz.strategies import damaged, mutated, nested, one_line, scalars, values, words

WHOLE = Path(__file__).resolve().parents[2] / "models.yaml"
KNOWN_KEYS = ("id", "params", "source", "kind", "config", "capability", "seed", "args", "notes", "tier")

RAW = (
    "!!python/object:os.system {}", "!!python/object/apply:os.system ['true']", "!!python/name:os.system",
    "!!binary aGk=", "!!binary '='", "!!bool perhaps", "!!int ''", "!!int x", "!!float ''", "!!null x",
    "!!map x",
    "!!seq x", "!!set {a, b}", "!!set x", "!!omap [a: 1]", "!!pairs x", "!!timestamp x", "!own {a: 1}", "! x",
    "!<tag:yaml.org,2002:str> 3", "&a {b: 1}", "&a [*a]", "*a", "*nowhere", "{<<: *a}", "{<<: {id: x}}", "<<",
    "0x" + "f" * 6000, "0o17", "0b1" + "0" * 20000, "9" * 5000, "1:30", "190:20:30.15", ".nan", ".inf",
    "-.inf",
    "1e400", "2020-01-01", "2020-13-45", "2001-12-14t21:59:43.10-05:00", "0000-00-00", "yes", "~", "''",
    "=", "|",
    ">\n\n", "- a", "? b", "[", "{", "]", "#", "@", "`", "%", '"\\U00110000"', '"\\ud800"', '"\\x00"',
    '"\\0"',
    '"', "'", "a: b: c", "[a]: b", "{? [a] : b}", "\t", "[" * 3000, "{a: " * 3000, "- " * 3000, "? " * 2000,
    "[" * 60 + "]" * 60, "{a: " * 60 + "1" + "}" * 60,
)  # fmt: skip
PIECES = (
    *(text.encode() for text in RAW),
    b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\x07", b"\x85", "\u2028".encode(), b"---\n", b"...\n",
    b"%YAML 1.2\n---\n",
    b"%YAML " + b"9" * 5000 + b".1\n", b"%TAG ! !\n", b"\r", b"\n", b"\t", b": ", b"- ", b",", b"\n  id: x",
    b"&a ", b"*a ", b"!!", b"\xf0\x9f\xa7\xaa",
)  # fmt: skip
BOMB = "\n".join([
    "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]",
    *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)),
])  # fmt: skip


class Raw(str):
    """A piece of YAML that is written as it stands."""

    __slots__ = ()


@cache
def whole() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(WHOLE.read_text("utf-8"))
    return data


@cache
def excerpts() -> tuple[dict[str, Any], ...]:
    """Two rows of a ladder of the real file, for each ladder."""
    found = []
    for ladder in whole()["ladders"]:
        rows = [row for row in whole()["models"] if row["ladder"] == ladder["name"]]
        found.append({"ladders": [ladder], "models": rows[:2]})
    return tuple(found)


def written(value: Any, depth: int = 0) -> str:
    """Write nested data as YAML, one key or item a line, so that lines can be told apart."""
    rest = "\n" + " " * depth
    if isinstance(value, dict):
        lines = (f"{json.dumps(str(key))}: {written(item, depth + 1)}" for key, item in value.items())
        return "{" + ("," + rest).join(lines) + "}"
    if isinstance(value, list):
        return "[" + ("," + rest).join(written(item, depth + 1) for item in value) + "]"
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value)).replace("inf", ".inf").replace("nan", ".nan")
    return json.dumps(value)


def readable(text: str) -> bool:
    """Return whether a piece of YAML is well formed within a list."""
    try:
        return yaml.compose(f"[{text}]", Loader=yaml.SafeLoader) is not None
    except (yaml.YAMLError, RecursionError, ValueError):
        return False


leaves = (
    scalars
    | values
    | st.sampled_from(list(filter(readable, RAW))).map(lambda text: f"RAW {RAW.index(text)}")
    | st.sampled_from((*NATIVE_KEYS, *SOURCE_KINDS, "lm", "image", "gpt2", "llama", "full", "bfloat16"))
)


def with_raw(value: Any) -> Any:
    """Put pieces of YAML where the words that stand for them are."""
    if isinstance(value, dict):
        return {key: with_raw(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_raw(item) for item in value]
    found = re.fullmatch(r"RAW (\d+)", value) if isinstance(value, str) else None
    return Raw(RAW[int(found[1])]) if found else value


documents = (
    st.sampled_from(excerpts())
    .flatmap(lambda data: mutated(data, leaves))
    .map(lambda data: written(with_raw(data)).encode("utf-8", "surrogatepass"))
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry") / "models.yaml"


def loaded(path: Path) -> Registry | str:
    """Return the registry, or the words of the one error that may come instead."""
    try:
        return load_registry(path)
    except RegistryError as error:
        return str(error)


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    started = time.process_time()
    found = loaded(path)
    # Aliases that double at every level would take for ever.
    assert time.process_time() - started < 5
    if isinstance(found, str):
        event(re.sub(r"'[^']*'|\d+", "#", found)[:50])
        assert one_line(found, most=1000), found
        place = re.match(r"models\.yaml:([1-9]\d*): .", found)
        assert place, found
        assert int(place[1]) <= len(re.split(rb"\r\n|\r|\n|\xc2\x85|\xe2\x80[\xa8\xa9]", content)), found
        return
    event("loads")
    for spec in found:
        assert len(spec.revision) == 16
        assert found.get(spec.id) is spec
        assert isinstance(spec.random, bool)
        # What loads can be shown, in a table and as JSON.
        assert json.dumps(spec.model_dump(), ensure_ascii=False, allow_nan=False).encode()
        assert f"{spec.params:,} {spec.memory_gb:g}"


def swapped(old: str, new: str, data: dict[str, Any] | None = None) -> bytes:
    """Return the first excerpt with one piece of text in another's place."""
    text = written(excerpts()[0] if data is None else data)
    assert old in text
    return text.replace(old, new, 1).encode()


@example(b"")
@example(BOMB.encode())
@example(swapped('"license"', '"notes": "\\U00110000", "license"'))
@example(swapped('"license"', '"notes": "\\ud800", "license"'))
@example(swapped('"seed": 1', '"seed": !!bool perhaps'))
@example(swapped('"seed": 1', "\"seed\": !!int ''"))
@example(swapped('"seed": 1', '"seed": 0x' + "f" * 6000))
@example(swapped('"params": 44480', '"params": 0x' + "f" * 6000))
@example(swapped('"params": 44480', '"params": 1' + "0" * 400))
@example(swapped('"d_vocab"', '"rope_scaling": !!binary aGk=, "d_vocab"'))
@example(swapped('"d_vocab"', '"rope_scaling": !!set x, "d_vocab"'))
@example(swapped('"d_vocab"', '"rope_scaling": !!python/object:os.system {}, "d_vocab"'))
@example(swapped('"d_vocab"', '"eps": .nan, "d_vocab"'))
@example(swapped('"d_vocab"', '"rope_scaling": ' + "[" * 3000 + '"d_vocab"'))
@example(b"ladders: " + b"[" * 3000)
@example(b"{a: " * 3000)
@example(b"- " * 3000)
@example(b"%YAML " + b"9" * 5000 + b".1\n---\na")
@example(b"a: 1\nb: \x07\n")
@example(b"models: [" + b"9, " * 3000 + b"]")
@example(b"k" * 5000 + b": 1")
@given(st.one_of(documents, documents, damaged(documents, PIECES)))
def test_it_loads_or_one_line_says_why_not(path: Path, content: bytes) -> None:
    check(path, content)


@given(st.binary(max_size=60) | words.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_what_is_no_registry_at_all(path: Path, content: bytes) -> None:
    check(path, content)


@given(st.sampled_from(RAW), st.sampled_from(KNOWN_KEYS))
def test_the_real_file_with_one_odd_value(path: Path, raw: str, key: str) -> None:
    text = written(excerpts()[0])
    check(path, re.sub(rf'"{key}": ', lambda found: f"{found[0]}{raw}, ", text, count=1).encode())


def test_the_excerpts_load(path: Path) -> None:
    kinds = set()
    for data in excerpts():
        path.write_bytes(written(data).encode())
        kinds |= {spec.source.kind for spec in load_registry(path)}
    assert kinds == set(SOURCE_KINDS)


def test_nesting_of_bearable_depth_is_read(path: Path) -> None:
    data = json.loads(json.dumps(excerpts()[0]))
    data["models"][0]["source"]["config"]["rope_scaling"] = nested(20)
    path.write_bytes(written(data).encode())
    assert load_registry(path)
