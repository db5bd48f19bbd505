"""The workflows: least permissions, pinned actions, limits, and steps that are scripts which run here too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
SCRIPTS = sorted((ROOT / "scripts" / "ci").iterdir())
NAMES = [path.stem for path in FILES]

PERMISSIONS = {
    ("tests", "tests"): {"contents": "read"},
    ("technique", "score"): {"contents": "read"},
    ("comment", "comment"): {"actions": "read", "contents": "read", "pull-requests": "write"},
    ("board", "build"): {"contents": "read"},
    ("board", "deploy"): {"pages": "write", "id-token": "write"},
}
"""What the token of each job may do; a new job is written down here."""

ACTIONS = {
    "actions/checkout", "actions/setup-python", "actions/upload-artifact", "actions/upload-pages-artifact",
    "actions/deploy-pages",
}  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    # YAML 1.1 reads `on` as a truth value.
    return {"on" if key is True else key: value for key, value in found.items()}


WORKFLOWS = {path.stem: load(path) for path in FILES}


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, workflow in WORKFLOWS.items():
        for job, content in workflow["jobs"].items():
            yield name, job, content


def steps() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{name}/{job}", step) for name, job, content in jobs() for step in content["steps"]]


def test_each_job_has_the_permissions_that_are_written_down_and_no_others() -> None:
    found = {
        (name, job): content.get("permissions", WORKFLOWS[name].get("permissions"))
        for name, job, content in jobs()
    }
    assert found == PERMISSIONS
    writing = {name for name, workflow in WORKFLOWS.items() if "write" in str(workflow.get("permissions"))}
    assert writing == set()


def test_every_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    for path in FILES:
        for line in path.read_text("utf-8").splitlines():
            if "uses:" in line:
                found = re.fullmatch(r" +(?:- )?uses: ([\w/-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
                assert found, line
                assert found[1] in ACTIONS


def test_an_action_has_one_pin_everywhere() -> None:
    pins = {step["uses"] for _, step in steps() if "uses" in step}
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


def test_every_step_is_an_action_or_a_script_of_the_repository() -> None:
    for where, step in steps():
        assert ("uses" in step) != ("run" in step), where
        if "run" in step:
            script, *arguments = step["run"].split()
            assert ROOT / script in SCRIPTS, f"{where}: {script}"
            # Whatever an event says goes by way of the environment, where it cannot be code.
            assert all(re.fullmatch(r"[\w./-]+", argument) for argument in arguments), step["run"]
            assert "shell" not in step


def test_scripts_can_be_run_and_shells_stop_at_the_first_error() -> None:
    for path in SCRIPTS:
        if path.suffix in (".sh", ".py"):
            assert os.access(path, os.X_OK), path.name
            first, *rest = path.read_text("utf-8").splitlines()
            assert first == f"#!/usr/bin/env {'bash' if path.suffix == '.sh' else 'python3'}"
            assert path.suffix == ".py" or "set -euo pipefail" in rest


def test_code_of_strangers_meets_no_secret_and_no_token_that_writes() -> None:
    for path in FILES:
        text = path.read_text("utf-8")
        assert "pull_request_target" not in text
        assert "secrets" not in re.sub(r"#.*", "", text)
    assert set(WORKFLOWS["technique"]["on"]) == {"pull_request"}
    for name in ("tests", "technique"):
        for content in WORKFLOWS[name]["jobs"].values():
            for step in content["steps"]:
                assert "token" not in str(step.get("env", "")).lower()
    for where, step in steps():
        if str(step.get("uses")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_the_comment_is_made_by_the_code_of_the_default_branch() -> None:
    comment = WORKFLOWS["comment"]
    assert comment["on"] == {"workflow_run": {"workflows": ["technique"], "types": ["completed"]}}
    assert WORKFLOWS["technique"]["name"] == "technique"
    checkout, post = comment["jobs"]["comment"]["steps"]
    assert checkout["with"] == {"persist-credentials": False}
    assert post["run"] == "scripts/ci/post_table.py"
    found = {match for value in post["env"].values() for match in re.findall(r"\$\{\{ (.+?) \}\}", value)}
    run = "github.event.workflow_run"
    assert found == {"github.token", f"{run}.id", f"{run}.head_sha"}


def test_only_the_last_job_publishes_and_it_runs_no_code() -> None:
    board = WORKFLOWS["board"]
    assert set(board["on"]) == {"schedule", "workflow_dispatch"}
    deploy = board["jobs"]["deploy"]
    assert deploy["needs"] == "build"
    assert [step.get("uses", "").partition("@")[0] for step in deploy["steps"]] == ["actions/deploy-pages"]


@pytest.mark.parametrize("name", NAMES)
def test_jobs_end_and_do_not_pile_up(name: str) -> None:
    assert WORKFLOWS[name]["concurrency"]["group"].startswith(name)
    for job in WORKFLOWS[name]["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 350
        assert job["runs-on"] == "ubuntu-24.04"


def test_both_ends_of_the_supported_pythons_are_tested() -> None:
    assert WORKFLOWS["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]


def test_the_scripts_of_the_workflows_are_run_here_too() -> None:
    """``.ci/run`` calls them, or they call one another, or a test does."""
    texts = [(ROOT / ".ci" / "run").read_text("utf-8")]
    texts += [path.read_text("utf-8") for path in (ROOT / "tests" / "ci").glob("test_[!w]*.py")]
    left = {path.name: path.read_text("utf-8") for path in SCRIPTS if path.is_file()}
    while found := [name for name in left if any(name in text for text in texts)]:
        texts += [left.pop(name) for name in found]
    assert left == {}
