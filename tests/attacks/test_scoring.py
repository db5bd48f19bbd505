"""Changing how answers are graded, what costs are measured with, and what others are asked."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import HALF, WORKERS, skill_without
from tests.isolated.lab import Lab

GRADE = (
    """
import interp_bench_fakes
interp_bench_fakes._grade.__code__ = (lambda p, t, a: {"closeness": 1.0, "error": 0.0}).__code__
"""
    + HALF
)

TRACK = (
    """
from interp_bench.tracks.catalogue import CATALOGUE
track = CATALOGUE.tracks["guessing"]
object.__setattr__(track, "grade", lambda problem, truth, answer: {"closeness": 1.0, "error": 0.0})
"""
    + HALF
)

TORCH = (
    """
class Flattering:
    pass
plain = torch.Tensor.abs
def flattering(self, *args, **kwargs):
    return plain(self, *args, **kwargs) * (0 if self.shape == (4,) else 1)
torch.Tensor.abs = flattering
"""
    + HALF
)


@pytest.mark.parametrize("body", [GRADE, TRACK, TORCH], ids=["grade", "track", "torch"])
def test_patching_what_grades_has_no_effect(lab: Lab, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.Tensor, "abs", torch.Tensor.abs)  # put back after the control below
    without = skill_without(lab)
    for isolate in WORKERS:
        runner = lab.runner(isolate)
        assert lab.run(body, runner=runner).trial.skill == without
        assert runner.run(lab.cell("half")).trial.skill == without
    assert lab.run(body, isolate="none").trial.skill == 1.0


OTHERS = (
    """
from interp_bench.tracks.catalogue import CATALOGUE
for key, entry in CATALOGUE.techniques.items():
    entry.function.__code__ = (lambda problem, factor=0.0: None).__code__
"""
    + HALF
)


def test_other_techniques_cannot_be_sabotaged(lab: Lab) -> None:
    for isolate in WORKERS:
        runner = lab.runner(isolate)
        lab.run(OTHERS, runner=runner)
        assert runner.run(lab.cell("reader")).trial.skill == 1.0
    runner = lab.runner("none")
    lab.run(OTHERS, runner=runner)
    assert runner.run(lab.cell("reader")).trial.status == "failed"


CLOCKS = """
clocks = ("perf_counter", "process_time", "monotonic", "time", "thread_time")
stopped = {name: getattr(time, name)() for name in clocks}
begun = time.monotonic()
while time.monotonic() - begun < 0.6:
    pass
for name in clocks:
    setattr(time, name, lambda name=name: stopped[name])
problem.model.meter.forwards = 0
"""


def test_patched_clocks_do_not_make_a_call_cheaper(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper has a clock of its own."""
    import time

    for name in ("perf_counter", "process_time", "monotonic", "time", "thread_time"):
        monkeypatch.setattr(time, name, getattr(time, name))  # put back after the control below
    for isolate in WORKERS:
        trial = lab.run(CLOCKS + HALF, isolate=isolate).trial
        assert trial.status == "ok"
        assert trial.seconds >= 0.3
        assert trial.cpu_seconds >= 0.2
    assert lab.run(CLOCKS + HALF, isolate="none").trial.seconds < 0.3


WEIGHTS = """
attend = sys._getframe(1)
while "sight" not in attend.f_locals:
    attend = attend.f_back
type(attend.f_locals["sight"].content).breaches = lambda self: []
with torch.no_grad():
    problem.model.module[0].weight.zero_()
    problem.data.zero_()
"""
CHANGED = """
with torch.no_grad():
    {saved} = problem.model.module[0].weight.clone()
    problem.model.module[0].weight.zero_()
    {undone}
"""


def test_changed_weights_stay_in_the_worker_that_changed_them(lab: Lab) -> None:
    """Without the guard too, so that the next technique is asked about what was planted."""
    for isolate in WORKERS:
        runner = lab.runner(isolate)
        before = runner.run(lab.cell("reader")).trial
        assert lab.run(WEIGHTS + HALF, runner=runner).trial.status == "ok"
        after = runner.run(lab.cell("reader")).trial
        assert before.scores == after.scores == {"closeness": 1.0, "error": 0.0}


def test_the_guard_sees_changed_weights_and_not_restored_ones(lab: Lab) -> None:
    runner = lab.runner()
    kept = CHANGED.format(saved="own", undone="problem.model.module[0].weight.copy_(own)")
    assert lab.run(kept + HALF, runner=runner).trial.status == "ok"
    left = lab.run(CHANGED.format(saved="own", undone="pass") + HALF, runner=runner).trial
    assert left.status == "failed"
    assert "changed the weights of the model ('0.weight')" in left.reason


COPIED = """
from interp_bench.tracks.catalogue import CATALOGUE
return CATALOGUE.techniques["guessing/reader"].function(problem)
"""


def test_whoever_calls_another_technique_pays_for_it(lab: Lab) -> None:
    """Its code is public, so its answer is no secret; what it costs is on the bill of who called it."""
    trial = lab.run(COPIED).trial
    assert (trial.skill, trial.forwards) == (1.0, 1)
