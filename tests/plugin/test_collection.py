"""Collection: ids, selection, order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


def test_ids_name_task_technique_model_and_seed(project: Project) -> None:
    result = project.bench("--collect-only", "-q", "--bench-seeds", "2")
    ids = [line for line in result.outlines if "::" in line]
    path = "tasks/guessing/bench_numbers.py::numbers"
    assert f"{path}[reader-small-0]" in ids
    assert f"{path}[half-large-1]" in ids
    # 4 rows on 4 models of the quick tier with 2 seeds
    assert len(ids) == 4 * 4 * 2


def test_run(project: Project) -> None:
    result = project.bench("--bench-seeds", "2")
    print(result.outlines)
    assert 0
