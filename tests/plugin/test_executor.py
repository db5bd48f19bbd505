"""The text of ``--bench-executor``, and what is refused in one line."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from interp_bench.plugin import executor
from interp_bench.plugin.executor import RayChoice, parse_executor

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("ray", RayChoice()),
        ("ray:2", RayChoice(workers=2)),
        ("ray:auto", RayChoice(address="auto")),
        ("ray://head:10001", RayChoice(address="ray://head:10001")),
        ("ray://[::1]:10001", RayChoice(address="ray://[::1]:10001")),
    ],
)
def test_forms(text: str, choice: RayChoice) -> None:
    assert parse_executor(text) == choice


@pytest.mark.parametrize(
    "text",
    ["rya", "dask", "ray:", "ray:0", "ray:-1", "ray:2.5", "ray:²", "ray:9999", "ray:near", "Ray", ":2"],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(pytest.UsageError, match=r"--bench-executor is .*; give ray \(a cluster on this"):
        parse_executor(text)


@pytest.mark.parametrize("text", ["ray://", "ray://head", "ray://head:", "ray://:1", "ray://head:99999"])
def test_an_address_names_host_and_port(text: str) -> None:
    with pytest.raises(pytest.UsageError, match="names no host and port"):
        parse_executor(text)


def test_as_many_workers_as_processors_have_threads_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor.os, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert RayChoice().local_workers == 2
    assert RayChoice(workers=5).local_workers == 5
    assert RayChoice(address="auto").local_workers == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert RayChoice().local_workers == 8


def _refused(project: Project, *arguments: str) -> str:
    result = project.bench("--bench-technique", "half", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line.strip()]
    assert len(lines) == 1
    return lines[0]


def test_two_ways_to_hand_out_trials_are_one_too_many(project: Project) -> None:
    line = _refused(project, "--bench-executor", "ray", "-n", "2")
    assert line == "ERROR: --bench-executor and -n both hand out the trials; give one of them"


def test_without_ray_the_extra_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "find_spec", lambda name: None)
    line = _refused(project, "--bench-executor", "ray")
    assert line == "ERROR: --bench-executor ray needs Ray: pip install 'interp-bench[ray]'"


def test_where_nothing_listens_the_run_ends_at_once(project: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{free.getsockname()[1]}"
        line = _refused(project, "--bench-executor", address)
    assert line.startswith(f"ERROR: --bench-executor {address}: nothing answers there (")
