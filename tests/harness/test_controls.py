"""Negative controls: the plant is away while a technique looks, back when its answer is graded."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch
from torch import nn

from interp_bench.harness.checksums import fingerprint
from interp_bench.harness.controls import copied, permute
from interp_bench.harness.grid import Cell
from interp_bench.harness.trial import CONTROLS

if TYPE_CHECKING:
    from tests.harness.conftest import Bench


@pytest.fixture(autouse=True)
def _offered(bench: Bench) -> None:
    bench.fakes.offer_controls(*CONTROLS)


def _asked(cell: Cell, control: str) -> Cell:
    return dataclasses.replace(cell, control=control)


def _skills(bench: Bench, name: str) -> dict[str, float]:
    cell = bench.cells(name)[name]
    trials = {control: bench.runner.run(_asked(cell, control)).trial for control in ("", *CONTROLS)}
    assert {trial.status for trial in trials.values()} == {"ok"}
    assert [trial.control for trial in trials.values()] == ["", *CONTROLS]
    return {control: trial.skill for control, trial in trials.items() if trial.skill is not None}


def test_who_reads_the_planted_weights_finds_nothing_without_them(bench: Bench) -> None:
    skills = _skills(bench, "reader")
    assert skills[""] == 1.0
    # All is zero before planting.
    assert skills["unplanted"] < 0.1
    assert skills["rerandomised"] < 0.1
    # The pretended question has no labels, so it stays answered.
    assert skills["shuffled"] == 1.0
    assert bench.models.opened == ["small"]


def test_an_answer_that_is_a_view_of_the_weights_does_not_turn_into_the_plant(bench: Bench) -> None:
    def viewing(problem: Any) -> Any:
        return bench.fakes.Guess(numbers=problem.model.module[0].weight.detach().diagonal())

    skills = _skills(bench, bench.technique(viewing))
    assert skills[""] == 1.0
    assert skills["unplanted"] < 0.1


def test_who_does_not_look_has_the_same_skill(bench: Bench) -> None:
    skills = _skills(bench, "half")
    assert len(set(skills.values())) == 1


def test_floor_and_ceiling_are_those_of_the_planted_problem(bench: Bench) -> None:
    cell = bench.cells("reader")["reader"]
    planted, control = (bench.runner.run(_asked(cell, name)).trial for name in ("", "unplanted"))
    assert control.floor_scores == planted.floor_scores
    assert control.ceiling_scores == planted.ceiling_scores
    assert control.certificate == planted.certificate
    assert control.key != planted.key


def _raising(problem: Any) -> Any:
    raise ValueError("lost")


def _interrupted(problem: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("control", ["unplanted", "rerandomised"])
@pytest.mark.parametrize("function", [_raising, _interrupted])
def test_weights_are_back_whatever_happens(bench: Bench, control: str, function: Any) -> None:
    models = []
    opener = bench.models.open
    runner = bench.new_runner(opener=lambda spec, device: models.append(opener(spec, device)) or models[-1])
    reader = bench.cells("reader")["reader"]
    assert runner.run(_asked(reader, "")).trial.skill == 1.0
    planted = fingerprint(models[0].module)
    cell = _asked(bench.cells(bench.technique(function))[function.__name__], control)
    if function is _interrupted:
        with pytest.raises(KeyboardInterrupt):
            runner.run(cell)
    else:
        trial = runner.run(cell).trial
        assert (trial.status, trial.reason) == ("failed", "ValueError: lost")
    assert fingerprint(models[0].module) == planted
    assert runner.run(_asked(reader, "")).trial.skill == 1.0


def test_the_technique_sees_the_other_weights(bench: Bench) -> None:
    seen = []

    def looking(problem: Any) -> Any:
        seen.append(problem.model.module[0].weight.detach().clone())
        return bench.fakes.Guess(numbers=torch.zeros(4))

    cell = bench.cells(bench.technique(looking))["looking"]
    for control in ("", *CONTROLS):
        bench.runner.run(_asked(cell, control))
    planted, unplanted, permuted, shuffled = seen
    assert planted.any()
    assert torch.equal(shuffled, planted)
    # The host is all zero, and has one layer.
    assert not unplanted.any()
    assert not permuted.any()


def test_each_control_makes_its_problem_once_and_the_seed_decides_it(bench: Bench) -> None:
    made: list[tuple[str, torch.Tensor]] = []

    def blinder(problem: Any, generator: torch.Generator) -> Any:
        made.append((float(problem.model.module[0].weight.sum()), torch.rand(1, generator=generator)))
        return dataclasses.replace(problem, data=problem.data + 1)

    def looking(problem: Any) -> Any:
        assert torch.equal(problem.data, torch.arange(6.0) + 1)
        return bench.fakes.Guess(numbers=torch.zeros(4))

    bench.fakes.BLINDERS["unplanted"] = blinder
    cell = _asked(bench.cells(bench.technique(looking))["looking"], "unplanted")
    for _ in range(2):
        trial = bench.runner.run(cell).trial
        assert (trial.status, trial.reason) == ("ok", "")
    assert len(made) == 1
    assert made[0][0] == 0.0, "the blind problem was made on planted weights"
    bench.new_runner().run(cell)
    assert torch.equal(made[0][1], made[1][1])


def test_changing_the_tensors_of_a_control_is_a_breach(bench: Bench) -> None:
    def greedy(problem: Any) -> Any:
        problem.data.zero_()
        problem.model.module[0].weight.add_(1)
        return bench.fakes.Guess(numbers=torch.zeros(4))

    cell = _asked(bench.cells(bench.technique(greedy))["greedy"], "unplanted")
    trial = bench.runner.run(cell).trial
    assert trial.status == "failed"
    assert "changed the weights of the model" in trial.reason
    assert "changed the problem's own tensors" in trial.reason
    assert bench.run("reader").trial.skill == 1.0


def test_a_control_without_room_is_skipped_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=8))
    cell = bench.cells("reader")["reader"]
    trial = bench.runner.run(_asked(cell, "unplanted")).trial
    assert (trial.status, trial.reason) == (
        "skipped",
        "the model is too large to keep its planted weights beside others",
    )
    assert trial.ceiling_scores == {}
    assert bench.runner.run(_asked(cell, "shuffled")).trial.skill == 1.0


def test_a_control_that_cannot_be_made_fails_by_name(bench: Bench) -> None:
    def blinder(problem: Any, generator: torch.Generator) -> Any:
        raise IndexError("out of range")

    bench.fakes.BLINDERS["shuffled"] = blinder
    trial = bench.runner.run(_asked(bench.cells("half")["half"], "shuffled")).trial
    assert trial.status == "failed"
    assert trial.reason == "control shuffled of task guessing/numbers: IndexError: out of range"


def test_guessing_draws_anew_in_each_control(bench: Bench) -> None:
    skills = _skills(bench, "random")
    assert len(set(skills.values())) == 4


class _Layer(nn.Module):
    def __init__(self, first: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.map = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            for index, tensor in enumerate(t for t in self.norm.state_dict().values() if t.ndim):
                tensor.copy_(torch.arange(4.0) + first + 100 * index)
            self.map.weight.copy_(first + torch.arange(9.0).view(3, 3))


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight
        self.layers = nn.ModuleList([_Layer(0), _Layer(10)])
        self.register_buffer("mask", torch.arange(5.0))


def _permuted(seed: int = 2) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a network with one planted weight in each of two tensors, permuted; and its weights before."""
    module = _Network()
    pristine = copied(module)
    with torch.no_grad():
        module.embed.weight[0, 0] = 1e6
        module.layers[1].map.weight[0, 0] = 1e3
    permute(module, pristine, torch.Generator().manual_seed(seed))
    return module, pristine


def test_tensors_of_one_role_are_permuted_together() -> None:
    homes = set()
    for seed in range(20):
        module, _ = _permuted(seed)
        maps = torch.stack([layer.map.weight.detach() for layer in module.layers])
        expected = [*range(9), *range(11, 19), 1000]
        assert sorted(maps.flatten().tolist()) == expected
        homes.add(int((maps == 1e3).nonzero()[0, 0]))
    assert homes == {0, 1}, "the planted weight must not tell its layer"


def test_a_role_that_occurs_once_gets_its_elements_from_before_planting() -> None:
    module, pristine = _permuted()
    after = module.embed.weight.detach()
    assert torch.equal(after.flatten().sort().values, pristine["embed.weight"].flatten().sort().values)
    assert not torch.equal(after, pristine["embed.weight"])
    assert module.head.weight is module.embed.weight


def test_channels_of_a_batch_norm_stay_together_and_other_buffers_as_they_are() -> None:
    module, _ = _permuted()
    gains = [layer.norm.weight.detach() for layer in module.layers]
    assert sorted(torch.cat(gains).tolist()) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert torch.cat(gains).tolist() != [0, 1, 2, 3, 10, 11, 12, 13]
    for gain, layer in zip(gains, module.layers, strict=True):
        assert torch.equal(layer.norm.bias.detach(), gain + 100)
        assert torch.equal(layer.norm.running_mean, gain + 200)
        assert torch.equal(layer.norm.running_var, gain + 300)
    assert torch.equal(module.mask, torch.arange(5.0))


def test_the_seed_decides_the_permutation() -> None:
    one, other, third = (_permuted(seed)[0].layers[0].map.weight.detach() for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
