"""A run compared with an earlier one: what is said at its end, and when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

MINE = ("--bench-model", "small", "--bench-seeds", "2", "--bench-technique", "mine.py")
LAST = ("--bench-compare", "last")


def line(result: pytest.RunResult, start: str) -> str:
    (found,) = [line for line in result.outlines if line.startswith(start)]
    return found


def test_an_unchanged_run_is_the_same_in_one_line(project: Project) -> None:
    project.technique()
    project.bench(*MINE)
    result = project.bench(*MINE, *LAST, "--bench-compare-fail", "mean:0")
    assert result.ret == 0
    assert line(result, "compared with run 2").endswith(": 3 same (cells of technique x task x model)")
    assert line(result, "3 techniques same in every cell: guessing/ceiling, guessing/mine, guessing/random")
    result.stdout.no_fnmatch_line("largest changes*")


def test_what_became_better_is_told_with_what_changed(project: Project) -> None:
    project.technique(value=-1.0)
    project.bench(*MINE)
    project.technique(value=-0.5, version=2)
    result = project.bench(*MINE, *LAST)
    result.stdout.fnmatch_lines(
        [
            "compared with run *: 1 better, 2 same (cells of technique x task x model)",
            "techniques that are not what they were: guessing/mine argument value -1.0 -> -0.5 (2 trials);*",
            "guessing/mine * better *",
            "guessing/numbers?mine-small? * better * 2",
        ]
    )
    assert "version 1 -> 2" in result.stdout.str()


def test_the_mean_of_a_technique_fails_the_run_and_no_trial(project: Project) -> None:
    project.technique(value=0.5)
    project.bench(*MINE)
    project.technique(value=-1.0)
    result = project.bench(*MINE, *LAST, "--bench-compare-fail", "mean:-5%")
    result.assert_outcomes(passed=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED: mean skill of guessing/mine is -* and was *"])
    first = project.stored()[0].run_id
    quiet = project.bench(*MINE, "--bench-compare", first, "--bench-compare-fail", "mean:-5%", "-qq")
    assert quiet.ret == pytest.ExitCode.TESTS_FAILED
    assert line(quiet, "FAILED: mean skill of guessing/mine is -")
    quiet.stdout.no_fnmatch_line("compared with*")
    assert project.bench(*MINE, *LAST, "--bench-compare-fail", "mean:-5%").ret == 0


def test_a_lost_skill_is_worse_and_fails_the_run(project: Project) -> None:
    project.technique(value=0.5)
    project.bench(*MINE)
    project.technique(value=0.5, body="if problem.seed == 1: raise ValueError('no luck')")
    result = project.bench(*MINE, *LAST, "--bench-compare-fail", "skill:-99%")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "compared with run *: 1 worse, 2 same *",
            "guessing/mine * ok * failed * 1 * ValueError: no luck",
            "guessing/numbers?mine-small? * worse * 1 lost",
            "FAILED: guessing/mine fails where it had a skill, in 1 of its trials",
        ]
    )
    project.technique(value=0.5)
    found = project.bench(*MINE, *LAST)
    found.stdout.fnmatch_lines(["compared with run *: 1 better, 2 same *", "*mine-small? * better * 1 found"])


def test_another_question_is_flagged(project: Project) -> None:
    project.technique()
    project.bench(*MINE)
    task = project.path / "tasks/guessing/bench_numbers.py"
    text = task.read_text(encoding="utf-8")
    task.write_text(text.replace("@task(", "@task(version=2, "), encoding="utf-8")
    result = project.bench(*MINE, *LAST)
    result.stdout.fnmatch_lines(
        ["another question than before*: guessing/numbers task version 1 -> 2 (6 trials)"]
    )


def test_what_is_not_selected_or_not_reached_is_not_gone(project: Project) -> None:
    project.bench("--bench-model", "small", "--bench-model", "large", "--bench-seeds", "2")
    first = ("--bench-compare", project.stored()[0].run_id)
    half = ("--bench-model", "small", "--bench-technique", "half")
    narrowed = project.bench(*half, "--bench-seeds", "1", *first)
    assert line(narrowed, "compared with run 2").endswith(": 3 same (cells of technique x task x model)")
    project.technique(body="raise ValueError('no luck')")
    stopped = project.bench(*MINE, "--bench-technique", "half", "-x", *first)
    assert ": 3 same, 1 new " in line(stopped, "compared with run 2")
    everything = project.bench("--bench-model", "small", "--bench-technique", "reader", *first)
    everything.stdout.no_fnmatch_line("gone: *")


def test_workers_compare_once(project: Project) -> None:
    project.technique(value=0.5)
    project.bench(*MINE)
    project.technique(value=-1.0)
    result = project.apart("--bench", *MINE, *LAST, "--bench-compare-fail", "mean:-5%", "-n", "1")
    result.assert_outcomes(passed=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert ": 1 undecided, 2 same" in line(result, "compared with run 2")
