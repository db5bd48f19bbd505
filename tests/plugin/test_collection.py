"""Collection: ids, order, selection, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from interp_bench.harness import folders

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

PATH = "tasks/guessing/bench_numbers.py::numbers"


def _ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_ids_name_task_technique_model_and_seed(project: Project) -> None:
    ids = _ids(project.bench("--collect-only", "-q", "--bench-seeds", "2"))
    assert f"{PATH}[reader-small-0]" in ids
    assert f"{PATH}[half-large-1]" in ids
    assert len(ids) == 4 * 4 * 2, "4 rows on 4 models of the quick tier with 2 seeds"


def test_items_come_one_model_at_a_time_largest_first(project: Project) -> None:
    ids = _ids(project.bench("--collect-only", "-q", "--bench-seeds", "2", "--bench-technique", "half"))
    rows = [name.partition("[")[2].rstrip("]").partition("-")[2] for name in ids]
    assert list(dict.fromkeys(rows)) == [
        f"{model}-{seed}" for model in ("large", "far-away", "image-one", "small") for seed in (0, 1)
    ]
    assert rows == [row for row in dict.fromkeys(rows) for _ in range(3)], "each problem comes in one go"


def test_collecting_opens_no_model_and_stores_nothing(project: Project) -> None:
    from interp_bench.harness import models

    project.bench("--collect-only", "-q")
    assert models.MODELS.opened == []  # type: ignore[attr-defined]
    assert project.stored() == []


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-k", "half and small"], 3),
        (["-k", "guessing and reader and not large"], 9),
        (["--bench-technique", "half"], 3 * 4 * 3),
        (["--bench-technique", "guessing/half", "--bench-technique", "reader"], 4 * 4 * 3),
        (["--bench-technique", "ceiling"], 2 * 4 * 3),
        (["--bench-model", "small"], 4 * 1 * 3),
        (["--bench-model", "pictures", "--bench-model", "s*"], 4 * 2 * 3),
        (["--bench-model", "huge", "--bench-model", "small"], 4 * 1 * 3),
        (["--bench-task", "numbers", "--bench-seeds", "7,"], 4 * 4 * 1),
        (["--bench-tier", "full"], 4 * 4 * 3),
        ([PATH], 4 * 4 * 3),
        ([f"{PATH}[half-small-1]"], 1),
        (["tasks/guessing/bench_numbers.py"], 4 * 4 * 3),
        ([".", "--bench-model", "small"], 4 * 1 * 3),
    ],
)
def test_selection(project: Project, arguments: list[str], count: int) -> None:
    project.write("tests/test_ordinary.py", "def test_ordinary(): assert False")
    assert len(_ids(project.bench("--collect-only", "-q", *arguments))) == count


def test_the_last_pieces_of_the_output_of_collecting_are_those_of_pytest(project: Project) -> None:
    result = project.bench("--collect-only", "-q", "--bench-model", "small", "--bench-technique", "half")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"{PATH}?half-small-2?", "", "9 tests collected in *"])


def test_a_file_of_techniques_is_scored_alone_with_floor_and_ceiling(project: Project) -> None:
    project.technique(name="elsewhere/mine.py")
    result = project.bench(
        "--collect-only", "-q", "--bench-technique", "elsewhere/mine.py", "--bench-model", "small"
    )
    names = {name.partition("[")[2].partition("-")[0] for name in _ids(result)}
    assert names == {"ceiling", "random", "mine"}


def test_techniques_of_a_conftest_are_scored(project: Project) -> None:
    conftest = project.path / "conftest.py"
    project.technique(name="mine.txt")
    text = (project.path / "mine.txt").read_text(encoding="utf-8")
    conftest.write_text(conftest.read_text(encoding="utf-8") + text, encoding="utf-8")
    assert any("[mine-small-0]" in name for name in _ids(project.bench("--collect-only", "-q")))


def test_the_conftest_of_a_project_without_tasks_counts_beside_the_tasks_of_the_package(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path_factory.mktemp("package") / "tasks"
    (project.path / "tasks").rename(packaged)
    monkeypatch.setattr(folders, "tasks_folder", lambda root: packaged)
    assert any("[random-small-0]" in name for name in _ids(project.bench("--collect-only", "-q")))


def test_explain_says_what_is_not_run_and_runs_nothing(project: Project) -> None:
    result = project.bench("--bench-explain", "--bench-model", "huge", "--bench-model", "far-away")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "meant for at most 1,000,000 parameters, the model has 5,000,000:",
            "    guessing/numbers on huge",
            "its weights are on the moon:",
            "    anything on far-away",
        ]
    )
    assert project.stored() == []
    everything = project.bench("--bench-explain", "--bench-model", "small", "-n", "2")
    everything.stdout.fnmatch_lines(["everything selected is run"])
    everything.stdout.no_fnmatch_line("*2 workers*")


def test_ordinary_runs_are_untouched(project: Project) -> None:
    project.write("test_ordinary.py", "import sys\ndef test_it():\n    assert 'torch' not in sys.modules\n")
    project.write("conftest.py", "")
    project.write("tasks/guessing/bench_numbers.py", "raise RuntimeError('imported')")
    project.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    result = project.apart("-q", "--strict-markers")
    result.assert_outcomes(passed=1)
    assert result.outlines[-1].startswith("1 passed")
    assert "interp_bench" not in result.stdout.str()
    assert not (project.path / ".interp-bench").exists()
