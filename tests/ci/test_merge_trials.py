"""Folders of trials become one, in which the newest trial of each question stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interp_bench.board import jsonl


def test_the_newest_trial_of_each_question_is_kept(
    script: Callable[[str], ModuleType], make_trial: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script("merge_trials")
    jsonl.export([make_trial(skill=0.1), make_trial(skill=0.2, track="concepts")], tmp_path / "old")
    later = {"started_at": "2026-02-01T00:00:00Z"}
    new = [make_trial(skill=0.9, provenance=later), make_trial(skill=0.3, seed=5)]
    jsonl.export(new, tmp_path / "new")
    for order in (("old", "new"), ("new", "old")):
        out = tmp_path / "-".join(order)
        assert module.main([str(out), *(str(tmp_path / name) for name in order)]) == 0
        found = sorted((trial.track, trial.seed, trial.skill) for trial in jsonl.read(out))
        assert found == [("concepts", 0, 0.2), ("features", 0, 0.9), ("features", 5, 0.3)]
    assert "    2 trials  " in capsys.readouterr().out
    assert module.main([str(tmp_path / "x")]) == 2
    assert module.main([str(tmp_path / "x"), str(tmp_path / "none")]) == 2
    assert "there are no trials" in capsys.readouterr().err
