"""A project whose options, commands and node ids are drawn at random."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

import interp_bench.board.terminal
import interp_bench.plugin.session
from interp_bench.harness import discovery, models
from interp_bench.harness.store import Store
from interp_bench.harness.trial import Trial
from tests.fuzz.trials import EXAMPLE
from tests.plugin.conftest import TASK, TECHNIQUE, project

__all__ = ["project"]

assert interp_bench.board.terminal
assert interp_bench.plugin.session


@pytest.fixture
def place(fakes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of tasks, files of techniques, trials and a store; nothing else is registered."""
    monkeypatch.setattr(discovery, "PACKAGES", ())
    monkeypatch.setattr(discovery, "entry_points", lambda group: ())
    monkeypatch.setattr(models, "MODELS", fakes.MODELS)
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: Path) -> None:
    """Write the files of the project."""
    example = Trial(**EXAMPLE).model_dump_json()
    texts = {
        "tasks/guessing/bench_numbers.py": TASK,
        "mine.py": TECHNIQUE.format(version=1, value=0.5, body="pass"),
        "broken.py": "def broken(:",
        "runs/features.jsonl": example + "\n",
        "bad.jsonl": example[:40],
        "text": "no store, no trials, no python\n" * 40,
        "dir.py/inside": "",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    # `numbers` is defined by the file of tasks here, in place of the pretended one.
    from interp_bench.tracks.catalogue import CATALOGUE

    CATALOGUE.tasks.clear()
    with Store.open(folder / "store.sqlite3") as store:
        store.put(Trial(**EXAMPLE))
