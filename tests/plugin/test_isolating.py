"""How a run keeps techniques apart follows from its options and from what the machine offers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from interp_bench.harness.calling import Here
from interp_bench.harness.isolation import arranging
from interp_bench.harness.isolation.caller import Isolated
from interp_bench.harness.isolation.sandbox import Offer
from interp_bench.harness.isolation.staff import Nursery
from interp_bench.plugin import isolating
from interp_bench.plugin.options import Options
from tests.plugin.conftest import Project


def options(folder: Path, **changes: Any) -> Options:
    given: dict[str, Any] = {field.name: "" for field in fields(Options)}
    return Options(**{**given, "store": None, "here": folder, "root": folder, "tier": "quick", **changes})


@pytest.mark.parametrize(("lack", "hidden"), [("", 0), ("an old kernel", 1)])
def test_memory_is_hidden_where_no_wall_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: str, hidden: int
) -> None:
    done: list[bool] = []
    monkeypatch.setattr(arranging, "offered", lambda: (Offer(name="files", lack=lack),))
    monkeypatch.setattr(arranging, "hide_memory", lambda: done.append(True))
    assert isinstance(isolating.caller(options(tmp_path, isolate="fresh"), (), workers=1), Isolated)
    assert len(done) == hidden
    assert isinstance(isolating.caller(options(tmp_path, isolate="none"), (), workers=1), Here)
    assert len(done) == hidden


def test_the_process_that_workers_come_from_is_begun_only_where_they_will_be_wanted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(Nursery, "start", lambda nursery: begun.append("start"))
    apart = ("--bench", "--bench-isolate=fresh", "--bench-technique", "random")
    for arguments in (("--collect-only",), ("--bench-explain",), ("--bench-isolate=none",)):
        project.here(*apart, *arguments)
    assert begun == []
    project.here(*apart, "--bench-model", "far-away")
    assert begun == ["start"]


def test_what_workers_must_not_read_is_hidden(tmp_path: Path) -> None:
    tasks = tmp_path / "more" / "bench_more.py"
    tasks.parent.mkdir()
    tasks.touch()
    hidden = isolating.hidden_paths(
        options(tmp_path, store=tmp_path / "s.sqlite3", seed_secret="secret"), [tasks.parent]
    )
    names = {str(path.relative_to(tmp_path)) for path in hidden if path.is_relative_to(tmp_path)}
    assert names >= {
        "secret", ".interp-bench", "s.sqlite3", "s.sqlite3-wal", "leaderboard", "tasks", "more/bench_more.py"
    }  # fmt: skip
    assert any(path.name == "planting" and path.is_dir() for path in hidden)
