"""Odd texts and odd values, from which the properties of this folder draw."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

SURROGATE = "\udcff"
BREAKS = ("\n", "\r", "\x0b", "\x1c", "\x85", "\u2028")

ODD_WORDS = (
    "", " ", "-", "--", "::", "[", "]", "[]", "../..", "/", ".", "~", "*", "?", "[!a]", "[z-a]", "[[",
    "%s", "%",
    "{}", "{0}", "\x00", "\t", SURROGATE, "\ufeff", "é", "ß", "İ", "²", "٣", "\uff11", "\U0001f9ea", "\u202e",
    "nan", "inf", "-inf", "1e999", "-0", "0x10", "1_0", "None", "null", "true", "a" * 300, "9" * 5000, "'",
    '"',
    "`", "\\", "$HOME", "x\ny", *BREAKS,
)  # fmt: skip

words = st.one_of(
    st.sampled_from(ODD_WORDS),
    st.text(max_size=12),
    st.text(st.sampled_from("abc-:[]@,.*?0123456789/\\ \n" + SURROGATE), max_size=16),
)
"""Short texts: names that nobody gives, letters of every script, signs that mean something somewhere."""

numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from((2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30, 10**308, 10**400)),
    st.floats(),
)

scalars = st.none() | st.booleans() | numbers | words


def nested(depth: int) -> list[Any]:
    """Return lists within lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
"""Anything that JSON or YAML can hold."""


def mixed_case(known: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Return known words, whole, damaged by one edit, or put together with odd ones."""
    whole = st.sampled_from(known)
    return st.one_of(
        whole, st.builds(edited, whole, st.integers(0, 40), words), st.builds(_join, whole, words), words
    )


def edited(text: str, place: int, piece: str) -> str:
    """Return ``text`` with one character at ``place`` replaced by ``piece``."""
    place = place % (len(text) + 1)
    return text[:place] + piece + text[place + 1 :]


def _join(first: str, second: str) -> str:
    return first + second


@st.composite
def damaged(draw: Callable[..., Any], whole: st.SearchStrategy[bytes], pieces: tuple[bytes, ...]) -> bytes:
    """Draw bytes, and cut, repeat, overwrite or insert at up to three places."""
    data = draw(whole)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 40)))
        piece = draw(st.sampled_from(pieces) | st.binary(max_size=8))
        match draw(st.sampled_from(("cut", "repeat", "overwrite", "insert", "truncate"))):
            case "cut":
                data = data[:start] + data[stop:]
            case "repeat":
                data = data[:stop] + data[start:stop] + data[stop:]
            case "overwrite":
                data = data[:start] + piece + data[start + len(piece) :]
            case "insert":
                data = data[:start] + piece + data[start:]
            case _:
                data = data[:start]
    return data


def paths_of(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every key and item in nested dictionaries and lists."""
    found = []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += [(*above, key), *paths_of(item, (*above, key))]
    return found


@st.composite
def mutated(draw: Callable[..., Any], whole: Any, leaves: st.SearchStrategy[Any], most: int = 3) -> Any:
    """Draw a copy of nested data with keys dropped, renamed, repeated or of another type."""
    data = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(0, most))):
        paths = paths_of(data)
        if not paths:
            break
        *above, last = draw(st.sampled_from(paths))
        parent = data
        for key in above:
            parent = parent[key]
        match draw(st.sampled_from(("drop", "rename", "repeat", "replace", "replace", "grow"))):
            case "drop":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(mixed_case((str(last),)))] = parent.pop(last)
            case "repeat" if isinstance(parent, list):
                parent.append(parent[last])
            case "grow" if isinstance(parent, dict):
                parent[draw(words)] = draw(leaves)
            case _:
                parent[last] = draw(leaves)
    return data


def share(part: int) -> settings:
    """Return the settings of a property whose examples are dear: one ``part``-th of the profile's number."""
    return settings(max_examples=max(5, settings.default.max_examples // part))


def one_line(text: str, most: int = 1_000_000) -> bool:
    """Return whether a message is one line of at most so many characters."""
    return bool(text.strip()) and len(text.splitlines()) == 1 and len(text) <= most
