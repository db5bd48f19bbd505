"""A whole run in which techniques fail: it goes on to the end, and says of each how it ended."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import CONFTEST, FAKES, Project, project

__all__ = ["project"]

FAILING = {
    "crashing": ("__import__('ctypes').string_at(0)", "crashed"),
    "leaving": ("__import__('os')._exit(0)", "crashed"),
    "aborting": ("__import__('os').abort()", "crashed"),
    "endless": ("while True: pass", "timed_out"),
    "greedy": ("taken = [bytearray(1 << 24) for _ in range(100)]", "out_of_memory"),
    "loud": ("for _ in range(100): __import__('os').write(1, bytes(1 << 20))", "failed"),
    "raising": ("raise ValueError('no')", "failed"),
    "interrupting": ("raise KeyboardInterrupt", "failed"),
    "forking": ("__import__('subprocess').Popen(['sleep', '100'])", "failed"),
    "zealous": ("problem.model.module.train()", "failed"),
}

FILE = """
import torch
from interp_bench_fakes import Guess, GuessProblem
from interp_bench.tracks.catalogue import technique

@technique(cites="a stranger")
def {name}(problem: GuessProblem) -> Guess:
    '''Fail.'''
    {body}
    return Guess(numbers=torch.full((4,), 0.5))
"""

PRETENDED = f"""
import importlib.util, sys
if "interp_bench_fakes" not in sys.modules:
    spec = importlib.util.spec_from_file_location("interp_bench_fakes", {str(FAKES)!r})
    sys.modules["interp_bench_fakes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["interp_bench_fakes"])
"""
"""A package of tracks, which workers import too."""


@pytest.mark.slow
@pytest.mark.parametrize("isolate", ["fresh", "warm"])
def test_a_run_goes_on_to_its_table_whatever_techniques_do(project: Project, isolate: str) -> None:
    bodies = {**FAILING, "sound": ("pass", "ok")}
    names = sorted(bodies)
    project.write("pretended/__init__.py", "")
    project.write("pretended/fakes.py", PRETENDED)
    path = f"import sys\nsys.path.insert(0, {str(project.path)!r})\n"
    project.write("conftest.py", path + CONFTEST.replace("PACKAGES = ()", "PACKAGES = ('pretended',)"))
    for name in names:
        project.write(f"{name}.py", FILE.format(name=name, body=bodies[name][0]))
    chosen = [f"--bench-technique={name}.py" for name in names]
    result = project.apart(
        "--bench",
        f"--bench-isolate={isolate}",
        "--bench-timeout=2",
        "--bench-memory=0.5",
        "--bench-model=small",
        "--bench-seeds=1",
        *chosen,
    )
    trials = {trial.technique: trial for trial in project.stored()}
    assert {name: trials[name].status for name in names} == {name: bodies[name][1] for name in names}
    assert all(trials[name].reason for name in FAILING)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # The truth and the guess are rows of their own.
    result.assert_outcomes(passed=3, failed=len(FAILING))
    table = result.stdout.str().partition("= interp_bench =")[2]
    assert re.search(
        r"^13 trials: 3 ok, 5 failed, 1 timed out, 1 out of memory, 3 crashed", table, re.MULTILINE
    )
    assert all(re.search(rf"^{name} ", table, re.MULTILINE) for name in names)
