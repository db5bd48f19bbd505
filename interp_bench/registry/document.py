"""YAML as plain data plus the line of every key, read with the safe loader only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from interp_bench.errors import RegistryError

Path = tuple[str | int, ...]


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
        RegistryError: with file and line, for bad syntax, aliases, repeated or non-text keys.
    """
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise RegistryError(
                    f"{name}:{_line(event.start_mark)}: aliases (*name) are not read; write it out"
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise RegistryError(f"{name}:1: the file is empty; it needs `ladders:` and `models:`")
        lines: dict[Path, int] = {}
        return Document(name=name, data=_plain(node, (), lines, name), lines=lines)
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark or error.context_mark)
        problem = " ".join((error.problem or error.context or "bad syntax").split())
        raise RegistryError(f"{name}:{line}: not YAML: {problem}") from None
    except yaml.YAMLError as error:
        raise RegistryError(f"{name}:1: not YAML: {' '.join(str(error).split())}") from None


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark is not None else 1


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), lines, name) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, name)
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(node)
    except (ValueError, yaml.constructor.ConstructorError):
        line = node.start_mark.line + 1
        raise RegistryError(f"{name}:{line}: cannot read {node.value!r} as {node.tag}") from None


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int], name: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise RegistryError(f"{name}:{line}: a key must be one word")
        key = str(key_node.value)
        here = (*path, key)
        if key in result:
            raise RegistryError(
                f"{name}:{line}: the key {key!r} stands here and in line {lines[here]}; keep one"
            )
        lines[here] = line
        result[key] = _plain(value_node, here, lines, name)
    return result
