"""Running: outcomes of items, resuming, the progress line and the table at the end."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

SMALL = ("--bench-model", "small", "--bench-seeds", "2")


def test_a_run_stores_each_trial_and_ends_with_the_table(project: Project) -> None:
    result = project.bench(*SMALL)
    result.assert_outcomes(passed=8)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "interp_bench: run *, tier quick, seeds 0,1, cpu, 1 thread(s) a process, not isolated, "
            "store .interp-bench/store.sqlite3",
            "interp_bench: 8 trials on 1 model; 0 stored already; 8 to run (8 never timed here)",
            "?1/8? small seed 0*",
            "?8/8? small seed 1*",
            "8 trials: 8 ok; 0 from the store",
            "which cliff does the gear work on?*",
            "reader *",
        ]
    )
    trials = project.stored()
    assert len(trials) == 8
    assert {trial.status for trial in trials} == {"ok"}
    assert {trial.skill for trial in trials if trial.technique == "ceiling"} == {1.0}
    assert {trial.provenance.threads for trial in trials} == {1}


def test_a_low_score_passes(project: Project) -> None:
    project.technique(value=-50.0)
    result = project.bench(*SMALL, "--bench-technique", "mine.py")
    result.assert_outcomes(passed=6)
    assert project.latest()["numbers[mine-small-0]"].skill < -10  # type: ignore[operator]


def test_a_crash_fails_with_the_place_in_the_technique(project: Project) -> None:
    project.technique(body="raise ValueError('no luck')")
    result = project.bench(*SMALL, "--bench-technique", "mine.py", "-ra")
    result.assert_outcomes(passed=4, failed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "mine.py:9: in mine",
            "E   ValueError: no luck",
            "6 trials: 4 ok, 2 failed; 0 from the store",
            "FAILED *::numbers?mine-small-0? - ValueError: n*",
        ]
    )
    assert "harness/runner.py" not in result.stdout.str()
    trial = project.latest()["numbers[mine-small-1]"]
    assert (trial.status, trial.reason) == ("failed", "ValueError: no luck")


def test_a_broken_contract_fails_in_one_line(project: Project) -> None:
    project.technique(body="problem.model.module.train()")
    result = project.bench(*SMALL, "--bench-technique", "mine.py")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        ["failed: ContractError: left the model in training mode; put it back with .train(False)"]
    )


def test_x_stops_at_the_first_failure_and_keeps_what_ran(project: Project) -> None:
    project.technique(body="raise ValueError('no luck')")
    result = project.bench(*SMALL, "--bench-technique", "mine.py", "-x")
    result.assert_outcomes(passed=2, failed=1)
    assert [trial.status for trial in project.stored()] == ["ok", "ok", "failed"]


def test_an_invalid_problem_is_skipped_with_its_reason(project: Project) -> None:
    task = project.path / "tasks/guessing/bench_numbers.py"
    text = task.read_text(encoding="utf-8").replace(
        "plant(model, seed)", "plant(model, seed, passed=seed != 1)"
    )
    task.write_text(text, encoding="utf-8")
    result = project.bench(*SMALL, "-rs")
    result.assert_outcomes(passed=4, skipped=4)
    result.stdout.fnmatch_lines(["*invalid: not certified: written 0 (bound >= 0.5)"])
    assert {trial.status for trial in project.stored() if trial.seed == 1} == {"invalid"}
    again = project.bench(*SMALL)
    again.assert_outcomes(passed=4, skipped=4)
    again.stdout.fnmatch_lines(["*8 stored already; none to run"])


def test_a_model_that_is_not_here_is_skipped_with_the_reason(project: Project) -> None:
    result = project.bench("--bench-model", "far-away", "-rs")
    result.assert_outcomes(skipped=12)
    result.stdout.fnmatch_lines(["*its weights are on the moon"])
    assert {(trial.status, trial.reason) for trial in project.stored()} == {
        ("skipped", "its weights are on the moon")
    }


def test_a_technique_that_does_not_apply_is_skipped(project: Project) -> None:
    project.technique(body="from interp_bench.errors import Inapplicable; raise Inapplicable('no heads')")
    result = project.bench(*SMALL, "--bench-technique", "mine.py", "-rs")
    result.assert_outcomes(passed=4, skipped=2)
    again = project.bench("--bench-technique", "mine.py")
    again.stdout.fnmatch_lines(["*6 stored already*"])
    result.stdout.fnmatch_lines(["SKIPPED * no heads"])


def test_warnings_of_a_technique_fail_nothing_and_are_counted(project: Project) -> None:
    project.pytester.makeini("[pytest]\nfilterwarnings = error\n")
    project.technique(body="import warnings; warnings.warn('slow', RuntimeWarning)")
    result = project.bench(*SMALL, "--bench-technique", "mine.py")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["warnings of techniques: 2 RuntimeWarning"])


def _computed(result: pytest.RunResult) -> int:
    (line,) = [line for line in result.outlines if "from the store" in line]
    total, reused = int(line.split()[0]), int(line.rpartition("; ")[2].split()[0])
    return total - reused


def test_a_second_run_computes_nothing(project: Project) -> None:
    assert _computed(project.bench(*SMALL)) == 8
    second = project.bench(*SMALL)
    assert _computed(second) == 0
    second.assert_outcomes(passed=8)
    assert len(project.stored()) == 8


def test_only_what_changed_is_computed_again(project: Project) -> None:
    mine = ("--bench-technique", "mine.py", "--bench-technique", "half", *SMALL)
    project.technique()
    assert _computed(project.bench(*mine)) == 8
    project.technique(version=2)
    assert _computed(project.bench(*mine)) == 2
    project.technique(version=2, value=0.25)
    assert _computed(project.bench(*mine)) == 2
    project.technique(version=2, value=0.25, body="x = 1")
    assert _computed(project.bench(*mine)) == 2
    assert _computed(project.bench(*mine)) == 0
    project.technique()
    assert _computed(project.bench(*mine)) == 0, "the first version is still stored"
    assert project.latest()["numbers[mine-small-0]"].technique_version == 1


def test_another_task_version_retires_every_trial_of_it(project: Project) -> None:
    project.bench(*SMALL)
    task = project.path / "tasks/guessing/bench_numbers.py"
    task.write_text(task.read_text(encoding="utf-8").replace("@task(", "@task(version=2, "), encoding="utf-8")
    assert _computed(project.bench(*SMALL)) == 8
    assert len(project.stored()) == 16


def test_more_seeds_add_to_what_is_stored(project: Project) -> None:
    project.bench(*SMALL)
    assert _computed(project.bench("--bench-model", "small", "--bench-seeds", "3")) == 4


def test_failures_are_run_again_and_fresh_runs_everything(project: Project) -> None:
    project.technique(body="raise ValueError('no luck')")
    arguments = ("--bench-technique", "mine.py", *SMALL)
    project.bench(*arguments)
    assert _computed(project.bench(*arguments)) == 2
    assert _computed(project.bench(*arguments, "--bench-fresh")) == 6


def test_store_option_and_cache_provider(project: Project) -> None:
    result = project.bench(*SMALL, "--bench-store", "deep/other.db", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=8)
    assert (project.path / "deep/other.db").is_file()
    assert not (project.path / ".interp-bench").exists()


def test_junit_has_one_case_a_trial_with_status_and_skill(project: Project) -> None:
    project.technique(body="raise ValueError('no luck')")
    project.bench(*SMALL, "--bench-technique", "mine.py", "--junitxml", "out.xml")
    cases = ET.parse(project.path / "out.xml").findall(".//testcase")
    assert [case.get("name") for case in cases][:3] == [
        "numbers[ceiling-small-0]",
        "numbers[random-small-0]",
        "numbers[mine-small-0]",
    ]
    properties = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in cases]
    assert properties[0] == {"status": "ok", "skill": "1"}
    assert properties[2] == {"status": "failed"}
    assert len(ET.parse(project.path / "out.xml").findall(".//failure")) == 2


def test_verbose_and_quiet_leave_the_progress_line_out(project: Project) -> None:
    verbose = project.bench(*SMALL, "-v")
    verbose.stdout.fnmatch_lines(["tasks/guessing/bench_numbers.py::numbers?reader-small-1? PASSED*"])
    assert "[8/8]" not in verbose.stdout.str()
    quiet = project.bench(*SMALL, "-q", "--bench-fresh")
    assert "[8/8]" not in quiet.stdout.str()
    assert "interp_bench: " not in quiet.stdout.str()
    quiet.stdout.fnmatch_lines(["which cliff does the gear work on?*"])


def test_the_quick_tier_says_so_when_it_will_take_longer(project: Project) -> None:
    from interp_bench.harness.store import DEFAULT_PATH, Store

    project.bench(*SMALL)
    with Store.open(project.path / DEFAULT_PATH) as store:
        for trial in store.trials():
            store.put(trial.model_copy(update={"run_id": "slow", "seconds": 200.0}))
            store.put(trial.model_copy(update={"run_id": "slower", "seconds": 200.0}))
    result = project.bench(*SMALL, "--bench-fresh")
    result.stdout.fnmatch_lines(
        ["*8 to run (about 27 min)", "*this will take longer than the 8 min that the quick tier is meant*"]
    )


@pytest.mark.parametrize(
    ("gate", "failed"), [("reader:0.99", 0), ("half:0.99", 2), ("guessing/half:0.99", 2), ("random:9", 2)]
)
def test_the_gate_on_skill_fails_what_is_below_it(project: Project, gate: str, failed: int) -> None:
    result = project.bench(*SMALL, "--bench-min-skill", gate)
    result.assert_outcomes(passed=8 - failed, failed=failed)
    if failed:
        result.stdout.fnmatch_lines(["skill * is below the bound * of --bench-min-skill"])
    assert {trial.status for trial in project.stored()} == {"ok"}
    project.bench(*SMALL, "--bench-min-skill", gate).assert_outcomes(passed=8 - failed, failed=failed)


def test_the_gate_on_drops_fails_what_got_worse_and_names_what_is_gone(project: Project) -> None:
    project.technique(value=0.5)
    project.technique(value=0.5, name="removed.py")
    text = (project.path / "removed.py").read_text(encoding="utf-8").replace("def mine", "def removed")
    project.write("removed.py", text)
    first = project.bench(*SMALL, "--bench-technique", "mine.py", "--bench-technique", "removed.py")
    first.assert_outcomes(passed=8)
    (run,) = {trial.run_id for trial in project.stored()}
    project.technique(value=-1.0)
    arguments = (*SMALL, "--bench-technique", "mine.py", "--bench-compare", run)
    second = project.bench(*arguments, "--bench-compare-fail", "skill:-5%")
    second.assert_outcomes(passed=4, failed=2)
    second.stdout.fnmatch_lines([f"skill * was * in run {run}; --bench-compare-fail allows *"])
    project.bench(*arguments).assert_outcomes(passed=6)
    everything = project.apart("--bench", *SMALL, "--bench-compare", run)
    everything.assert_outcomes(passed=8)
    everything.stdout.fnmatch_lines(["gone: guessing/numbers?mine-small? (skill was *)"])
    everything.stdout.no_fnmatch_line("gone: guessing/numbers?ceiling-*")


def test_a_technique_elsewhere_leaves_the_store_in_the_project_pytest_was_started_in(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    project.technique()
    (project.path / "mine.py").rename(elsewhere / "mine.py")
    result = project.bench(*SMALL, "--bench-technique", str(elsewhere / "mine.py"))
    result.assert_outcomes(passed=6)
    assert {trial.technique for trial in project.stored()} >= {"mine"}
    assert not (elsewhere / ".interp-bench").exists()


def test_small_models_answer_controls_by_default(project: Project, fakes: ModuleType) -> None:
    fakes.offer_controls("unplanted", "shuffled")
    result = project.bench("--bench-seeds", "2", "--bench-technique", "reader", "-k", "small")
    result.assert_outcomes(passed=6 + 4)
    trials = project.latest()
    assert trials["numbers[reader-small-0]"].skill == 1.0
    assert trials["numbers[reader-small-0-unplanted]"].skill < 0.1  # type: ignore[operator]
    assert trials["numbers[reader-small-0-unplanted]"].control == "unplanted"
    assert trials["numbers[reader-small-0-shuffled]"].skill == 1.0
    assert "numbers[reader-small-1-unplanted]" not in trials
    result.stdout.fnmatch_lines(["false discovery*", "guessing*reader*1.00*"])
    again = project.bench("--bench-seeds", "2", "--bench-technique", "reader", "-k", "small")
    again.stdout.fnmatch_lines(["*10 stored already; none to run"])


@pytest.mark.parametrize(
    ("arguments", "controls"),
    [
        ((), set()),
        (("--bench-control", "none"), set()),
        (("--bench-control", "all"), {"unplanted", "shuffled"}),
        (("--bench-control", "unplanted"), {"unplanted"}),
        (("--bench-control", "rerandomised"), set()),
    ],
)
def test_controls_are_asked_by_name_where_a_model_is_named(
    project: Project, fakes: ModuleType, arguments: tuple[str, ...], controls: set[str]
) -> None:
    fakes.offer_controls("unplanted", "shuffled")
    project.bench(*SMALL, *arguments)
    asked = {(trial.control, trial.seed) for trial in project.stored() if trial.control}
    assert asked == {(control, seed) for control in controls for seed in (0, 1)}


def test_a_gate_lets_controls_pass(project: Project, fakes: ModuleType) -> None:
    fakes.offer_controls("unplanted")
    result = project.bench(*SMALL, "--bench-control", "all", "--bench-min-skill", "reader:0.9")
    result.assert_outcomes(passed=8 + 6)


def test_trials_of_tasks_behind_a_link_are_stored(project: Project) -> None:
    (project.path / "tasks").rename(project.path / "elsewhere")
    (project.path / "tasks").symlink_to("elsewhere")
    result = project.bench("--bench-model", "small", "--bench-technique", "half", "--bench-seeds", "1")
    result.assert_outcomes(passed=3)
    assert {trial.technique for trial in project.stored()} == {"ceiling", "random", "half"}


def test_trials_of_tasks_in_an_odd_folder_are_stored(project: Project) -> None:
    (project.path / "tasks" / "guessing").rename(project.path / "tasks" / "a::b [c]")
    project.bench("--bench-model", "small", "--bench-technique", "half", "--bench-seeds", "1")
    assert {trial.technique for trial in project.stored()} == {"ceiling", "random", "half"}


def test_a_reason_that_no_encoding_takes_is_stored_with_escapes(project: Project) -> None:
    mine = project.technique(body="raise OSError('no file \\udcff')")
    project.bench("--bench-model", "small", "--bench-technique", mine, "--bench-seeds", "1")
    assert "no file \\udcff" in project.latest()["numbers[mine-small-0]"].reason
