#!/usr/bin/env python3
"""List the techniques that differ between two commits, one ``track/name`` a line.

A technique differs where its file does, for the file's hash is its fingerprint, or where a file of the
techniques does that it imports, directly or by way of others. Files are parsed, and not executed.

    scripts/ci/changed_techniques.py BASE [HEAD]
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

FOLDER = "interp_bench/techniques"
PACKAGE = "interp_bench.techniques."


def changed(base: str, head: str) -> list[str]:
    """Return the ids of techniques of ``head`` that are not as they were at the fork from ``base``.

    Raises:
        subprocess.CalledProcessError: git does not know one of the commits.
    """
    listed = _git("ls-tree", "-r", "-z", "--name-only", head, "--", FOLDER)
    sources = {path: _git("show", f"{head}:{path}") for path in listed.split("\0") if path.endswith(".py")}
    edited = _git("diff", "-z", "--name-only", f"{base}...{head}", "--", FOLDER).split("\0")
    return techniques_touched(sources, edited)


def techniques_touched(sources: Mapping[str, str], edited: Iterable[str]) -> list[str]:
    """Return the ids of techniques that rest on edited files.

    Args:
        sources: text of every file of techniques, by its path.
        edited: paths of files that were changed, added or removed.
    """
    trees = {path: ast.parse(source, path) for path, source in sources.items()}
    imports = {_module(path): set(_imported(tree)) for path, tree in trees.items()}
    touched = {_module(path) for path in edited if path}
    while more := {name for name, used in imports.items() if used & touched} - touched:
        touched |= more
    found = (
        f"{PurePosixPath(path).relative_to(FOLDER).parts[0]}/{name}"
        for path, tree in trees.items()
        if _module(path) in touched
        for name in _registered(tree)
    )
    return sorted(set(found))


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of techniques that a file may import, by any form of import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(PACKAGE))
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(PACKAGE):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _registered(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the functions that are decorated with ``@technique(...)``."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            calls = (d.func for d in node.decorator_list if isinstance(d, ast.Call))
            names = [getattr(call, "id", getattr(call, "attr", "")) for call in calls]
            if "technique" in names:
                yield node.name


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), capture_output=True, encoding="utf-8", errors="surrogateescape", check=True
    )
    return done.stdout


def main(arguments: list[str]) -> int:
    """Print the list; return 0, or 2 where it cannot be made."""
    commits = arguments if len(arguments) == 2 else [*arguments, "HEAD"]
    if len(commits) != 2 or any(not commit or commit.startswith("-") for commit in commits):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        names = changed(*commits)
    except subprocess.CalledProcessError as error:
        print(error.stderr.strip() or error, file=sys.stderr)
        return 2
    except SyntaxError as error:
        print(f"{error.filename}:{error.lineno}: {error.msg}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"a file of techniques is no text: {error}", file=sys.stderr)
        return 2
    print("".join(f"{name}\n" for name in names), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
