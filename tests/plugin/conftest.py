"""A project in a temporary folder that is benchmarked with the pretended track, tasks and models."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

import interp_bench.board.terminal
import interp_bench.plugin.session
from interp_bench.harness import discovery, models
from interp_bench.harness.store import DEFAULT_PATH, Store
from interp_bench.harness.trial import Trial

FAKES = Path(__file__).resolve().parents[1] / "fakes.py"
REPOSITORY = FAKES.parents[1]

CONFTEST = f"""
import importlib.util, sys
sys.path.insert(0, {str(REPOSITORY)!r})
if "interp_bench_fakes" not in sys.modules:
    spec = importlib.util.spec_from_file_location("interp_bench_fakes", {str(FAKES)!r})
    sys.modules["interp_bench_fakes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["interp_bench_fakes"])
import interp_bench_fakes
from interp_bench.harness import discovery, models
from interp_bench.tracks.catalogue import CATALOGUE
CATALOGUE.tasks.clear()
discovery.PACKAGES = ()
models.MODELS = interp_bench_fakes.MODELS
"""

TASK = """
from interp_bench_fakes import GuessProblem, GuessTruth, plant
from interp_bench.model.handle import Model
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task

@task(needs=Needs(max_params=1_000_000))
def numbers(model: Model, seed: int) -> Planted[GuessProblem, GuessTruth]:
    '''Numbers on a diagonal.'''
    return plant(model, seed)
"""

TECHNIQUE = """
import torch
from interp_bench_fakes import Guess, GuessProblem
from interp_bench.tracks.catalogue import technique

@technique(cites="me", version={version})
def mine(problem: GuessProblem, *, value: float = {value}) -> Guess:
    '''Answer with one number.'''
    {body}
    return Guess(numbers=torch.full((4,), value))
"""


class Project:
    """The project, with what tests do to it."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self.path = pytester.path

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def technique(
        self, *, version: int = 1, value: float = 0.5, body: str = "pass", name: str = "mine.py"
    ) -> str:
        self.write(name, TECHNIQUE.format(version=version, value=value, body=body))
        return name

    def bench(self, *arguments: str) -> pytest.RunResult:
        """Run ``pytest --bench`` in this process, techniques too unless they are asked to be isolated."""
        return self.here("--bench", *_unisolated(arguments))

    def here(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process, without the plugins that this test run has besides."""
        return self.pytester.runpytest_inprocess(*_ALONE, *arguments)

    def apart(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        self.monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
        kept = _unisolated(arguments) if "--bench" in arguments else arguments
        return self.pytester.runpytest_subprocess(*_PLUGIN, *kept)

    def stored(self) -> list[Trial]:
        with Store.open(self.path / DEFAULT_PATH) as store:
            return store.trials()

    def latest(self) -> dict[str, Trial]:
        with Store.open(self.path / DEFAULT_PATH) as store:
            return {trial.name.partition("/")[2]: trial for trial in store.latest()}


def _unisolated(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Leave techniques in the process of the run, which is much faster to start."""
    asked = any(argument.startswith("--bench-isolate") for argument in arguments)
    return arguments if asked else ("--bench-isolate=none", *arguments)


_INSTALLED = any(entry.value == "interp_bench.plugin" for entry in entry_points(group="pytest11"))
_PLUGIN = () if _INSTALLED else ("-p", "interp_bench.plugin")
# Rewriting the assertions of every plugin anew takes seconds, and nothing here asserts.
_ALONE = ("-p", "interp_bench.plugin", "-p", "xdist", "--assert=plain")


@pytest.fixture
def project(pytester: pytest.Pytester, fakes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one file of tasks, and only pretended techniques."""
    # Kept in sys.modules, which pytester puts back after each run, where numpy can be only once.
    assert interp_bench.board.terminal
    assert interp_bench.plugin.session
    monkeypatch.setattr(models, "MODELS", fakes.FakeModels(*fakes.MODELS.specs))
    monkeypatch.setattr(discovery, "PACKAGES", ())
    made = Project(pytester, monkeypatch)
    pytester.makeconftest(CONFTEST.replace("models.MODELS = interp_bench_fakes.MODELS", IN_PROCESS))
    made.write("tasks/guessing/bench_numbers.py", TASK)
    return made


IN_PROCESS = """
if not isinstance(models.MODELS, interp_bench_fakes.FakeModels):
    models.MODELS = interp_bench_fakes.MODELS
"""
