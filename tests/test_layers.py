"""The import graph of the package is a DAG of rooms, and what reads results never imports torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "interp_bench"

ROOMS = (
    "errors", "registry", "model", "planting", "tracks", "techniques", "harness", "analysis", "board", "cli",
)  # fmt: skip
"""Every room may import from those on its left; cli and plugin stand side by side at the right end.

The contract suite, ``testing``, is no part of a run: it may import all of them, and none imports it.
"""

RANKS = {room: rank for rank, room in enumerate(ROOMS)} | {"plugin": len(ROOMS) - 1, "testing": len(ROOMS)}
TECHNIQUES_SEE = {"errors", "model", "tracks", "techniques"}
TASKS_SEE = {"errors", "model", "planting", "tracks"}
READERS = ("analysis", "board")
READERS_SEE_OF_HARNESS = {
    "interp_bench.harness",
    *(f"interp_bench.harness.{module}" for module in ("lines", "snapshots.stored", "store", "trial")),
}
HEAVY = {"torch", "transformers", "transformer_lens", "timm", "captum", "sklearn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module.

    Attributes:
        module: full name of the module, as far as it is one.
        names: names taken out of it.
        line: line number.
        at_once: whether it happens when the importing module is imported.
        typing: whether it stands under TYPE_CHECKING.
    """

    module: str
    names: tuple[str, ...] = ()
    line: int
    at_once: bool
    typing: bool


Graph = Mapping[str, tuple[Import, ...]]


def read_graph(root: Path, package: str = PACKAGE) -> dict[str, tuple[Import, ...]]:
    """Return every module of the package below ``root`` with what it imports."""
    files = {_module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}
    return {name: tuple(_imports_of(name, path, files)) for name, path in files.items()}


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_of(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    todo: list[tuple[ast.AST, bool, bool]] = [(ast.parse(path.read_text(encoding="utf-8")), True, False)]
    while todo:
        node, at_once, typing = todo.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module=alias.name, line=node.lineno, at_once=at_once, typing=typing)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, package, known, at_once=at_once, typing=typing)
        at_once = at_once and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += [(child, False, True) for child in node.body]
            todo += [(child, at_once, typing) for child in node.orelse]
        else:
            todo += [(child, at_once, typing) for child in ast.iter_child_nodes(node)]


def _from(
    node: ast.ImportFrom, package: str, known: Mapping[str, Path], *, at_once: bool, typing: bool
) -> Iterator[Import]:
    """Yield ``from a import b`` as ``a.b`` where that is a module, and the rest as names of ``a``."""
    base = node.module or ""
    if node.level:
        stem = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*stem, base] if base else stem)
    names = tuple(alias.name for alias in node.names)
    modules = [name for name in names if f"{base}.{name}" in known]
    for name in modules:
        yield Import(module=f"{base}.{name}", line=node.lineno, at_once=at_once, typing=typing)
    rest = tuple(name for name in names if name not in modules)
    if rest:
        yield Import(module=base, names=rest, line=node.lineno, at_once=at_once, typing=typing)


def room_of(module: str, package: str = PACKAGE) -> str | None:
    """Return the room of a module; ``facade`` for the package itself, None for foreign modules."""
    parts = module.split(".")
    if parts[0] != package:
        return None
    return parts[1] if len(parts) > 1 else "facade"


def wrong_ways(graph: Graph) -> list[str]:
    """Return every import that does not point to the left, one line each."""
    found = []
    for module, imports in graph.items():
        room = room_of(module)
        if room == "facade":
            continue
        if room not in RANKS:
            found.append(f"{module}: {room} is no room; name it in RANKS")
            continue
        for entry in imports:
            other = room_of(entry.module)
            if other in (None, room):
                continue
            if other == "facade" or other not in RANKS or RANKS[other] >= RANKS[room]:
                found.append(f"{module}:{entry.line}: {room} imports {entry.module}")
    return found


def peeks(graph: Graph) -> list[str]:
    """Return every import by which a technique could see what is hidden from it."""
    found = []
    for module, imports in graph.items():
        if room_of(module) != "techniques":
            continue
        for entry in imports:
            other = room_of(entry.module)
            if other is not None and other not in TECHNIQUES_SEE:
                found.append(f"{module}:{entry.line}: a technique imports {entry.module}")
            found += [
                f"{module}:{entry.line}: a technique imports {n}" for n in entry.names if n.endswith("Truth")
            ]
    return found


def cycles(graph: Graph) -> list[str]:
    """Return import cycles between modules, each from its alphabetically first module.

    Imports inside functions count, those for type checking do not.
    """
    edges = {
        module: sorted({entry.module for entry in imports if not entry.typing} & set(graph) - {module})
        for module, imports in graph.items()
    }
    found: dict[frozenset[str], str] = {}
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        state[module] = 1
        for other in edges[module]:
            if state.get(other) == 1:
                circle = path[path.index(other) :]
                found.setdefault(frozenset(circle), " -> ".join([*circle, other]))
            elif other not in state:
                visit(other, (*path, other))
        state[module] = 2

    for module in sorted(edges):
        if module not in state:
            visit(module, (module,))
    return sorted(found.values())


def heavy_ways(graph: Graph, start: str) -> list[str]:
    """Return the ways along which importing ``start`` imports torch or a package that imports torch.

    Importing a module imports the packages around it too. Imports inside functions are left out:
    they are made when the work needs them.
    """
    found, seen = [], {start}
    todo: list[tuple[str, tuple[str, ...]]] = [(start, (start,))]
    while todo:
        module, way = todo.pop()
        for entry in graph[module]:
            if not entry.at_once:
                continue
            if entry.module.split(".")[0] in HEAVY:
                found.append(" -> ".join([*way, entry.module]))
            for other in _with_parents(entry.module):
                if other in graph and other not in seen:
                    seen.add(other)
                    todo.append((other, (*way, other)))
    return found


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def stray_reads(graph: Graph) -> list[str]:
    """Return imports by which analysis or board take more of the harness than stored trials."""
    return [
        f"{module}:{entry.line}: {room_of(module)} imports {entry.module}"
        for module, imports in graph.items()
        if room_of(module) in READERS
        for entry in imports
        if room_of(entry.module) in ("registry", "model", "planting", "tracks", "techniques")
        or (room_of(entry.module) == "harness" and entry.module not in READERS_SEE_OF_HARNESS)
    ]


@pytest.fixture(scope="module")
def graph() -> dict[str, tuple[Import, ...]]:
    return read_graph(ROOT)


def test_the_graph_is_the_whole_package(graph: Graph) -> None:
    assert {room_of(module) for module in graph} == {"facade", *RANKS}
    assert any(entry.module == "interp_bench.errors" for entry in graph["interp_bench.harness.store"])


def test_rooms_import_only_from_their_left(graph: Graph) -> None:
    assert wrong_ways(graph) == []


def test_techniques_see_neither_truth_nor_planting_nor_harness(graph: Graph) -> None:
    assert peeks(graph) == []


def test_modules_do_not_import_one_another_in_circles(graph: Graph) -> None:
    assert cycles(graph) == []


def test_analysis_and_board_read_stored_trials_only(graph: Graph) -> None:
    assert stray_reads(graph) == []


def test_analysis_and_board_never_come_to_torch(graph: Graph) -> None:
    ways = [way for module in graph if room_of(module) in READERS for way in heavy_ways(graph, module)]
    assert ways == []


@pytest.mark.parametrize("module", ["interp_bench", "interp_bench.plugin", "interp_bench.cli"])
def test_pytest_without_bench_and_the_command_start_without_torch(graph: Graph, module: str) -> None:
    assert heavy_ways(graph, module) == []


def test_tasks_build_on_models_planting_and_tracks_only() -> None:
    files = sorted((ROOT / "tasks").rglob("bench_*.py"))
    assert files
    found = [
        f"{path.name}:{entry.line}: {entry.module}"
        for path in files
        for entry in _imports_of(path.stem, path, {})
        if room_of(entry.module) is not None and room_of(entry.module) not in TASKS_SEE
    ]
    assert found == []


# ------------------------------------------------------- the rules themselves, on a tree made for it


def tree(folder: Path, **changes: str) -> dict[str, tuple[Import, ...]]:
    """Return the graph of a small package; ``changes`` are modules, with ``__`` between the parts."""
    sources = {room: "" for room in [*ROOMS, "plugin", "testing"] if room != "errors"}
    sources = {f"{room}/__init__": '"""A room."""\n' for room in sources}
    sources |= {
        "__init__": "",
        "errors": "class InterpBenchError(Exception): ...\n",
        "model/handle": "import torch\nfrom interp_bench.errors import InterpBenchError\n",
        "tracks/features": "import torch\nfrom interp_bench.model.handle import Model\n",
        "techniques/pca": "from interp_bench.tracks.features import FeatureProblem\n",
        "harness/trial": "import pydantic\n",
        "harness/runner": "import interp_bench.harness.trial\nfrom interp_bench.tracks import features\n",
        "board/table": "from interp_bench.harness.trial import Trial\n",
    }
    sources |= {name.replace("__", "/"): text for name, text in changes.items()}
    for name, text in sources.items():
        path = folder / PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_graph(folder)


def test_a_package_in_order_passes_every_rule(tmp_path: Path) -> None:
    graph = tree(tmp_path)
    assert wrong_ways(graph) == peeks(graph) == cycles(graph) == stray_reads(graph) == []
    assert heavy_ways(graph, "interp_bench.board.table") == []
    assert heavy_ways(graph, "interp_bench.harness.runner") == [
        "interp_bench.harness.runner -> interp_bench.tracks.features -> torch",
        "interp_bench.harness.runner -> interp_bench.tracks.features -> interp_bench.model.handle -> torch",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "from interp_bench.harness.runner import Runner",
        "from interp_bench.harness import runner",
        "import interp_bench.harness.runner",
        "from ..harness import runner",
        "def late():\n    from interp_bench.harness.runner import Runner",
        "import typing\nif typing.TYPE_CHECKING:\n    from interp_bench.harness.runner import Runner",
        "from interp_bench import technique",
    ],
)
def test_an_import_to_the_right_is_found_however_it_is_written(tmp_path: Path, line: str) -> None:
    [found] = wrong_ways(tree(tmp_path, tracks__features=f"{line}\n"))
    assert found.startswith("interp_bench.tracks.features:")


def test_cli_and_plugin_stay_apart_and_a_new_room_is_refused(tmp_path: Path) -> None:
    graph = tree(tmp_path, cli__command="from interp_bench.plugin import options\n", attic__old="import os\n")
    assert wrong_ways(graph) == [
        "interp_bench.attic.old: attic is no room; name it in RANKS",
        "interp_bench.cli.command:1: cli imports interp_bench.plugin",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "from interp_bench.tracks.features import FeatureTruth",
        "from interp_bench.planting.stream import Stream",
        "from interp_bench.registry import load_registry",
    ],
)
def test_a_technique_that_peeks_is_found(tmp_path: Path, line: str) -> None:
    assert len(peeks(tree(tmp_path, techniques__pca=line))) == 1


def test_a_cycle_is_found_through_a_function_too(tmp_path: Path) -> None:
    graph = tree(
        tmp_path,
        model__handle="from interp_bench.model import sites\n",
        model__sites="def late():\n    from interp_bench.model.handle import Model\n",
    )
    assert cycles(graph) == [
        "interp_bench.model.handle -> interp_bench.model.sites -> interp_bench.model.handle"
    ]


def test_torch_is_found_behind_other_modules_but_not_inside_functions(tmp_path: Path) -> None:
    graph = tree(
        tmp_path,
        board__table="from interp_bench.harness import runner\n",
        board__page="def draw():\n    import torch\n",
    )
    assert len(heavy_ways(graph, "interp_bench.board.table")) == 2
    assert heavy_ways(graph, "interp_bench.board.page") == []
    assert stray_reads(graph) == ["interp_bench.board.table:1: board imports interp_bench.harness.runner"]
