"""With xdist: each trial once, one model and seed at a time in a worker, and workers that die."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


def test_two_workers_store_each_trial_once(project: Project) -> None:
    project.technique(
        body="import os\n    with open(f'opened-{os.getpid()}', 'a') as file:\n"
        "        file.write(f'{problem.model.spec.id}-{problem.seed} ')"
    )
    arguments = ("--bench-technique", "mine.py", "--bench-technique", "reader", "--bench-seeds", "2")
    result = project.apart("--bench", *arguments, "-n", "2", "--junitxml", "out.xml")
    result.assert_outcomes(passed=24, skipped=8)
    result.stdout.fnmatch_lines(["*32 trials on 4 models; 0 stored already; 8 skipped *; 24 to run *"])
    result.stdout.fnmatch_lines(["*32/32?*", "32 trials: 24 ok, 8 skipped; 0 from the store"])
    trials = project.stored()
    assert len(trials) == len({trial.key for trial in trials}) == 32
    assert len({trial.run_id for trial in trials}) == 1
    assert {trial.provenance.threads for trial in trials} == {1}
    ran = [path.read_text(encoding="utf-8").split() for path in project.path.glob("opened-*")]
    groups = [group for worker in ran for group in worker]
    assert sorted(groups) == sorted(f"{m}-{s}" for m in ("large", "small", "image-one") for s in (0, 1))
    assert (project.path / "out.xml").read_text(encoding="utf-8").count("<testcase") == 32

    second = project.apart("--bench", *arguments, "-n", "2")
    second.assert_outcomes(passed=24, skipped=8)
    second.stdout.fnmatch_lines(["*24 stored already; 8 skipped*; none to run"])
    second.stdout.no_fnmatch_line("*2 workers*")  # reading the store needs none


def test_all_techniques_of_a_model_and_seed_run_in_one_worker(project: Project) -> None:
    body = (
        "import os\n    with open(f'ran-{problem.model.spec.id}-{problem.seed}', 'a') as file:\n"
        "        file.write(f'{os.getpid()} ')"
    )
    names = [project.technique(body=body), project.technique(body=body, name="other.py")]
    text = (project.path / "other.py").read_text(encoding="utf-8")
    project.write("other.py", text.replace("def mine(", "def other("))
    arguments = [argument for name in names for argument in ("--bench-technique", name)]
    project.apart("--bench", *arguments, "--bench-seeds", "3", "-n", "2").assert_outcomes(
        passed=36, skipped=12
    )
    ran = [path.read_text(encoding="utf-8").split() for path in project.path.glob("ran-*")]
    assert len(ran) == 9
    assert {len(workers) for workers in ran} == {2}
    assert {len(set(workers)) for workers in ran} == {1}
    assert len({worker for workers in ran for worker in workers}) == 2


def test_a_worker_that_dies_leaves_a_crashed_trial(project: Project) -> None:
    project.technique(body="import os; os._exit(7)")
    result = project.apart(
        "--bench", "--bench-technique", "mine.py", "--bench-model", "small", "--bench-seeds", "1",
        "-n", "1", "--max-worker-restart", "0",
    )  # fmt: skip
    assert result.ret == 1
    trial = project.latest()["numbers[mine-small-0]"]
    assert (trial.status, trial.reason) == ("crashed", "the process that ran it died")
    assert project.latest()["numbers[ceiling-small-0]"].status == "ok"
