"""The controls of each track: nothing of the planted network is left in the question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from interp_bench.errors import Inapplicable
from interp_bench.harness.controls import copied, put, shown
from interp_bench.harness.discovery import load_tasks
from interp_bench.harness.trial import CONTROLS
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks import attribution, circuits, concepts, features, triggers
from interp_bench.tracks.base import other_outputs
from interp_bench.tracks.recall import Recall

TASKS = Path(__file__).parents[2] / "tasks"
TRACKS = (attribution, circuits, concepts, features, triggers)


def host(name: str = "native-30k") -> Model:
    return open_model(load_registry().get(name))


def planted(model: Model, file: str, name: str) -> Any:
    """Return the problem of a task, planted with seed 0."""
    (task,) = [task for task in load_tasks(TASKS / file) if task.name == name]
    return task.function(model, 0).problem


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("track", TRACKS, ids=lambda module: module.TRACK.name)
def test_every_track_offers_all_controls_that_make_sense(track: Any) -> None:
    missing = {"features": {"shuffled"}}.get(track.TRACK.name, set())
    assert track.TRACK.controls.keys() == set(CONTROLS) - missing


@pytest.mark.parametrize(
    ("file", "name", "model"),
    [
        ("features/bench_dictionary.py", "dictionary", "native-30k"),
        ("features/bench_dictionary.py", "visual_dictionary", "convnext-slim-20k"),
    ],
)
def test_activations_are_those_of_the_host_that_was_never_planted(file: str, name: str, model: str) -> None:
    planted_model, fresh = host(model), host(model)
    pristine = copied(planted_model.module)
    problem = planted(planted_model, file, name)
    with shown(planted_model.module, lambda: put(pristine, planted_model.module)):
        blind = features.TRACK.controls["unplanted"](problem, generator())
    expected = fresh.activations(problem.inputs, problem.site).flatten(0, 1)[problem.rows]
    torch.testing.assert_close(blind.activations(), expected.float(), rtol=1e-5, atol=1e-5)
    distance = (problem.activations() - blind.activations()).norm()
    assert distance > 0.3 * expected.norm()
    # Planted again, the same function gives the planted activations.
    again = features.TRACK.controls["unplanted"](problem, generator())
    torch.testing.assert_close(again.activations(), problem.activations(), rtol=1e-4, atol=1e-4)
    assert again.rows is problem.rows


def test_a_concept_problem_forgets_what_the_planted_network_did() -> None:
    model, fresh = host(), host()
    pristine = copied(model.module)
    problem = planted(model, "concepts/bench_concept.py", "marker_concept")
    for site in problem.sites:
        problem.features(site)
        problem.activations(site)
    with shown(model.module, lambda: put(pristine, model.module)):
        blind = concepts.TRACK.controls["unplanted"](problem, generator())
        for site in problem.sites:
            expected = fresh.activations(problem.inputs, site)
            torch.testing.assert_close(blind.activations(site), expected)
            torch.testing.assert_close(blind.features(site), expected[:, -1].float())
    assert isinstance(blind._recall, Recall)
    assert blind._recall is not problem._recall
    assert blind.labels is problem.labels


def test_shuffled_labels_are_permuted_and_outputs_are_of_no_value() -> None:
    problem = planted(host(), "concepts/bench_concept.py", "marker_concept")
    blind = concepts.TRACK.controls["shuffled"](problem, generator())
    assert torch.equal(blind.labels.bincount(), problem.labels.bincount())
    # 256 inputs with 4 values: a quarter agrees by chance, 0.25 +- 5 * 0.027.
    assert float((blind.labels == problem.labels).double().mean()) == pytest.approx(0.25, abs=0.14)
    assert not set(blind.outputs.tolist()) & set(problem.outputs.tolist())
    assert len(blind.outputs.unique()) == problem.n_values
    assert blind.outputs.max() < problem.model.n_outputs


def test_each_input_is_asked_for_the_output_of_another() -> None:
    problem = planted(host(), "attribution/bench_evidence.py", "token_evidence")
    blind = attribution.TRACK.controls["shuffled"](problem, generator())
    assert not bool((blind.outputs == problem.outputs).any())
    assert bool(torch.isin(blind.outputs, problem.outputs).all())
    one = replace(problem, outputs=torch.full_like(problem.outputs, 7))
    alone = attribution.TRACK.controls["shuffled"](one, generator())
    assert alone.outputs.shape == problem.outputs.shape
    assert len(alone.outputs.unique()) == 1
    assert int(alone.outputs[0]) != 7


def test_each_pair_is_asked_for_outcomes_that_it_does_not_have() -> None:
    problem = planted(host(), "circuits/bench_induction.py", "induction")
    blind = circuits.TRACK.controls["shuffled"](problem, generator())
    pairs = [set(row) for row in problem.outcomes.tolist()]
    for own, asked in zip(pairs, blind.outcomes.tolist(), strict=True):
        assert not own & set(asked)
        assert set(asked) in pairs


def test_where_all_pairs_share_outcomes_others_are_drawn() -> None:
    problem = planted(host(), "circuits/bench_induction.py", "induction")
    n = len(problem.clean)
    tied = replace(problem, outcomes=torch.tensor([[3, 5], [5, 9]]).repeat(n, 1)[:n])
    blind = circuits.TRACK.controls["shuffled"](tied, generator())
    assert not set(blind.outcomes.flatten().tolist()) & {3, 5, 9}
    assert bool((blind.outcomes[:, 0] != blind.outcomes[:, 1]).all())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["class_tokens", "universal_tokens"])
def test_another_class_is_wanted(name: str, seed: int) -> None:
    problem = planted(host(), "triggers/bench_trigger.py", name)
    blind = triggers.TRACK.controls["shuffled"](problem, generator(seed))
    assert blind.outcome != problem.outcome
    if name == "universal_tokens":
        assert torch.equal(blind.meant, problem.labels != blind.outcome)
        return
    (turned,) = problem.labels[problem.meant].unique().tolist()
    (source,) = blind.labels[blind.meant].unique().tolist()
    assert len({turned, source, blind.outcome}) == 3


def test_three_classes_leave_no_other() -> None:
    problem = planted(host(), "triggers/bench_trigger.py", "class_tokens")
    few = replace(problem, outcome=2, labels=(~problem.meant).long(), outputs=problem.outputs[:3])
    with pytest.raises(Inapplicable, match="no class that the trigger neither turns"):
        triggers.TRACK.controls["shuffled"](few, generator())


def test_outputs_that_are_left_are_drawn_and_too_few_are_refused() -> None:
    problem = planted(host("vit-slim-200k"), "attribution/bench_evidence.py", "visual_evidence")
    n = problem.model.n_outputs
    taken = torch.arange(n - 2)
    assert set(other_outputs(problem, taken, 2, generator()).tolist()) == {n - 2, n - 1}
    with pytest.raises(Inapplicable, match="fewer than 3 logits"):
        other_outputs(problem, taken, 3, generator())
