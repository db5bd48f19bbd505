"""A runner over the pretended parts."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from interp_bench.harness.grid import Cell
from interp_bench.harness.runner import Outcome, Runner
from interp_bench.harness.trial import Provenance
from interp_bench.tracks.catalogue import CATALOGUE, task, technique


def provenance() -> Provenance:
    return Provenance(interp_bench="0", python="3", started_at="2026-01-02T03:04:05+00:00")


class Bench:
    """Runs functions as techniques and tasks of the pretended track."""

    def __init__(self, fakes: ModuleType) -> None:
        self.fakes = fakes
        self.models = fakes.FakeModels(*fakes.MODELS.specs)
        self.runner = self.new_runner()

    def new_runner(self, **changes: Any) -> Runner:
        return Runner(**{"opener": self.models.open, "run": "run", "provenance": provenance, **changes})

    def technique(self, function: Callable[[Any], Any], **decoration: Any) -> str:
        """Register a plain function ``problem -> guess`` as a technique; returns its name."""
        return self._register(
            function,
            technique(cites="me", **decoration),
            {"problem": self.fakes.GuessProblem},
            self.fakes.Guess,
        )

    def task(self, function: Callable[[Any, int], Any], **decoration: Any) -> str:
        """Register a plain function ``model, seed -> planted`` as a task; returns its name."""
        from interp_bench.tracks.base import Planted

        returned = Planted[self.fakes.GuessProblem, self.fakes.GuessTruth]
        return self._register(function, task(**decoration), {}, returned)

    def cells(self, *techniques: str, **selection: Any) -> dict[str, Cell]:
        """Return cells by technique."""
        return {cell.row.name: cell for cell in self.fakes.grid(*techniques, **selection).cells}

    def run(self, name: str, **selection: Any) -> Outcome:
        """Run one technique on one problem."""
        return self.runner.run(self.cells(name, **selection)[name])

    def run_function(self, function: Callable[[Any], Any]) -> Outcome:
        """Run a plain function as a technique."""
        return self.run(self.technique(function))

    def _register(self, function: Any, decorator: Any, parameters: dict[str, Any], returned: Any) -> str:
        function.__annotations__ = {**parameters, "return": returned}
        function.__doc__ = function.__doc__ or "For a test."
        decorator(function)
        return function.__name__


@pytest.fixture
def bench(fakes: ModuleType) -> Bench:
    assert CATALOGUE.tracks.keys() == {"guessing"}
    return Bench(fakes)
