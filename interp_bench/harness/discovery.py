"""Find techniques and tasks: in the package, in installed plugins, in files and folders."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from interp_bench.errors import InterpBenchError, RegistrationError
from interp_bench.harness.folders import is_file
from interp_bench.tracks.catalogue import CATALOGUE, Task, Technique

ENTRY_POINTS = "interp_bench"
"""Group under which an installed package names modules of techniques."""

PACKAGES = ("interp_bench.tracks", "interp_bench.techniques")
"""Packages whose modules are all imported, so that what they define is registered."""


def load_packages(packages: Iterable[str]) -> None:
    """Import all modules of some packages, so that what they define is registered.

    Raises:
        RegistrationError: one of them cannot be imported; one line.
    """
    for package in packages:
        for name in _modules(package):
            with explained(f"module {name}"):
                importlib.import_module(name)


class Apart(Protocol):
    """Registers what strangers' modules define without importing them into this process."""

    def module(self, name: str, otherwise: Callable[[], object]) -> None:
        """Register what an installed module defines, or import it where it has to be trusted."""


def load_installed(apart: Apart | None = None) -> None:
    """Import everything that the package and the installed plugins register.

    Args:
        apart: registers the plugins, where they are not to be imported here.

    Raises:
        RegistrationError: a plugin cannot be imported, or breaks the contract; one line.
    """
    load_packages(PACKAGES)
    for entry in entry_points(group=ENTRY_POINTS):
        owner = entry.dist.name if entry.dist is not None else "unknown"
        with explained(f"entry point {entry.name!r} of package {owner!r} ({entry.value})"):
            if apart is None:
                entry.load()
            else:
                apart.module(entry.module, entry.load)


def load_techniques(path: Path) -> tuple[Technique, ...]:
    """Import a file and return the techniques that it registers.

    Raises:
        RegistrationError: the file is missing, cannot be imported, breaks the contract, or holds
            no technique.
    """
    load_file(path)
    found = tuple(t for t in CATALOGUE.techniques.values() if t.origin == path.resolve())
    if not found:
        raise RegistrationError(f"{path}: registers no technique; decorate a function with @technique(...)")
    return found


def load_tasks(path: Path) -> tuple[Task, ...]:
    """Import a file and return the tasks that it registers.

    Raises:
        RegistrationError: the file is missing, cannot be imported, breaks the contract, or holds
            no task.
    """
    load_file(path)
    found = tuple(t for t in CATALOGUE.tasks.values() if t.origin == path.resolve())
    if not found:
        raise RegistrationError(f"{path}: registers no task; decorate a function with @task(...)")
    return found


def load_file(path: Path) -> None:
    """Execute a python file as a module of its own, under a name that no other file has.

    Raises:
        RegistrationError: the file is missing, or cannot be imported; one line with the line number.
    """
    if not is_file(path):
        raise RegistrationError(f"{path}: there is no such file")
    path = path.resolve()
    name = f"interp_bench_local.{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RegistrationError(f"{path}: is no python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    for shelf in (CATALOGUE.techniques, CATALOGUE.tasks):
        for key in [key for key, entry in shelf.items() if entry.origin == path]:
            del shelf[key]
    try:
        with explained(str(path)):
            spec.loader.exec_module(module)
    except RegistrationError:
        del sys.modules[name]
        raise


def _modules(package: str) -> list[str]:
    root = importlib.import_module(package)
    return [info.name for info in pkgutil.walk_packages(root.__path__, f"{package}.")]


class explained:
    """Turn any failure of an import into one line; warnings of imported code are not ours to raise."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._warnings.__exit__(None, None, None)
        if error is None or isinstance(error, KeyboardInterrupt):
            return
        if isinstance(error, RegistrationError):
            raise RegistrationError(str(error)) from error
        if isinstance(error, InterpBenchError):
            raise RegistrationError(f"{self._what}: {error}") from error
        text = " ".join(str(error).split()) or "no message"
        where = _line_of(error, self._what)
        raise RegistrationError(
            f"{self._what}: cannot be imported{where}: {type(error).__name__}: {text}"
        ) from error


def _line_of(error: BaseException, path: str) -> str:
    """Return `` (line 3)`` for the last line of the file itself that led to the error."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f" (line {error.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f" (line {lines[-1]})" if lines else ""
