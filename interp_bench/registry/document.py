"""YAML as plain data plus the line of every key, read with the safe loader only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import yaml

from interp_bench.errors import RegistryError, shortened

Path = tuple[str | int, ...]

DEEPEST = 32
"""How deep lists and keys may be nested; the rows need five levels, and python allows some hundreds."""

_PREFIX = "tag:yaml.org,2002:"
_TAGS: dict[type[yaml.Node], frozenset[str]] = {
    yaml.ScalarNode: frozenset(_PREFIX + tag for tag in ("str", "int", "float", "bool", "null", "timestamp")),
    yaml.SequenceNode: frozenset({f"{_PREFIX}seq"}),
    yaml.MappingNode: frozenset({f"{_PREFIX}map"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed YAML text.

    Attributes:
        name: file name for messages.
        data: plain dictionaries, lists and scalars.
        lines: line of each key or item, by its path from the root.
    """

    name: str
    data: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of ``path``, or of its closest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: Path, message: str) -> RegistryError:
        """Return the one-line error for what stands at ``path``."""
        return RegistryError(f"{self.name}:{self.line(path)}: {message}")


def parse(text: str, name: str) -> Document:
    """Read one YAML document.

    Raises:
        RegistryError: with file and line, for bad syntax, aliases, foreign tags, repeated or non-text
            keys, deep nesting, and values that no registry can hold.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise RegistryError(f"{name}:1: the file is empty; it needs `ladders:` and `models:`")
        lines: dict[Path, int] = {}
        return Document(name=name, data=_plain(node, (), lines, name), lines=lines)
    except _Refused as error:
        raise RegistryError(f"{name}:{_line(error.problem_mark)}: {error.problem}") from None
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark or error.context_mark)
        problem = " ".join((error.problem or error.context or "bad syntax").split())
        raise RegistryError(f"{name}:{line}: not YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = len(text[: error.position].splitlines()) or 1
        raise RegistryError(f"{name}:{line}: not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        # Of the scanner: a number too long, or an escape for a character that there is not.
        line = _line(loader.get_mark()) if loader is not None else 1
        raise RegistryError(f"{name}:{line}: not YAML: {' '.join(str(error).split())}") from None


class _Refused(yaml.MarkedYAMLError):
    """YAML that is well formed and not read all the same."""


class _Loader(yaml.SafeLoader):
    """Composes nodes; aliases are refused, for they can double a document at every level, and so is depth."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise self._refusal("aliases (*name) are not read; write it out")
        if self._depth >= DEEPEST:
            raise self._refusal(f"lists and keys are nested more than {DEEPEST} deep")
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refusal(self, problem: str) -> _Refused:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        return _Refused(problem=problem, problem_mark=event.start_mark)


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark is not None else 1


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    known = _TAGS.get(type(node), frozenset())
    if node.tag not in known:
        shown = shortened(node.value) if isinstance(node, yaml.ScalarNode) else "a list or a set of keys"
        raise RegistryError(
            f"{name}:{line}: cannot read {shown} as {node.tag}; write plain YAML without tags"
        )
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), lines, name) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, name)
    try:
        return _scalar(node)
    except (ValueError, LookupError, yaml.constructor.ConstructorError):
        raise RegistryError(f"{name}:{line}: cannot read {shortened(node.value)} as {node.tag}") from None


def _scalar(node: yaml.Node) -> Any:
    """Return the value of a word.

    Raises:
        ValueError: it is none, or one that cannot be printed, stored or handed to a library.
        LookupError, yaml.constructor.ConstructorError: it is not of its type.
    """
    if node.tag == f"{_PREFIX}timestamp":
        return node.value
    value = yaml.constructor.SafeConstructor().construct_object(node)
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("not a number of 64 bits")
    return value


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int], name: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise RegistryError(f"{name}:{line}: a key must be one word")
        key = str(key_node.value)
        if not key.isprintable():
            raise RegistryError(f"{name}:{line}: the key {shortened(key)} has signs that cannot be printed")
        here = (*path, key)
        if key in result:
            raise RegistryError(
                f"{name}:{line}: the key {shortened(key)} stands here and in line {lines[here]}; keep one"
            )
        lines[here] = line
        result[key] = _plain(value_node, here, lines, name)
    return result
