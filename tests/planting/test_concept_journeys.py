"""Variables that are copied, turned, erased, or stand beside a decoy, in each kind of transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from interp_bench.errors import PlantingError
from interp_bench.harness.discovery import load_tasks
from interp_bench.model.opening import open_model
from interp_bench.planting.concepts.certify import ConceptTrial, certify_concept
from interp_bench.planting.concepts.journey import Journey, Kind, PlantedConcept, draw_stages
from interp_bench.planting.concepts.plant import plant_concept
from interp_bench.planting.neurons import linear
from interp_bench.registry import load_registry
from interp_bench.tracks.base import Planted
from interp_bench.tracks.concepts import TRACK, ConceptProblem, ConceptTruth, Subspace

TASKS = {
    task.name: task
    for task in load_tasks(Path(__file__).parents[2] / "tasks" / "concepts" / "bench_journeys.py")
}
CASES = [
    *(("native-150k", name, seed) for name in TASKS for seed in (0, 1, 2)),
    *(("vit-slim-200k", name, 1) for name in TASKS),
    ("native-30k", "decoy_concept", 0),
    ("gpt2-random-6m", "rotated_concept", 0),
    ("llama-random-6m", "decoy_concept", 0),
    ("neox-random-5m", "erased_concept", 0),
]
KINDS = {"copied_concept": "copy1", "rotated_concept": "erased", "erased_concept": "erased"}


def planted(host: str, name: str, seed: int, **dials: Any) -> Planted[ConceptProblem, ConceptTruth]:
    return TASKS[name].function(open_model(load_registry().get(host)), seed, **dials)


def journey(kind: Kind, host: str = "native-150k", **dials: Any) -> tuple[Any, PlantedConcept]:
    model = open_model(load_registry().get(host))
    return model, plant_concept(model, Journey(kind=kind, **dials), seed=4)


def failed(model: Any, concept: PlantedConcept) -> set[str]:
    """Return the checks of a fresh certificate that fail, without their sites."""
    generator = torch.Generator().manual_seed(0)
    trial = ConceptTrial(model, concept.causal, concept.show, concept.sites, 4, 32, generator)
    checks = certify_concept(trial, concept.near)
    return {check.name.partition("[")[0] for check in checks if not check.passed}


@pytest.mark.parametrize(("host", "name", "seed"), CASES)
def test_certificate_passes_and_the_truth_scores_one(host: str, name: str, seed: int) -> None:
    case = planted(host, name, seed)
    assert case.certificate.passed, case.certificate.reason
    names = {check.name.partition("[")[0] for check in case.certificate.checks}
    assert {"accuracy", "necessity", "inertness", "own", "rest_sufficient", "random_sets"} <= names
    assert ({KINDS[name]} if name in KINDS else {"decoy", "decoy_probe"}) <= names
    scores = TRACK.score(case.problem, case.truth, TRACK.true_answer(case.problem, case.truth))
    assert scores["interchange_accuracy"] >= 0.95
    assert scores["overlap"] == pytest.approx(1)


def test_idle_copies_do_nothing_and_the_first_one_everything() -> None:
    case = planted("native-150k", "copied_concept", 0, idle=True)
    assert case.certificate.passed, case.certificate.reason
    assert {len(rows) for rows in case.truth.carriers.values()} == {4}


def test_a_direction_of_one_site_is_nothing_at_another() -> None:
    case = planted("native-150k", "rotated_concept", 1)
    (early, old), *_, (late, new) = case.truth.carriers.items()
    assert float((old @ new.T).abs().max()) < 1e-5
    for site, rows, score in ((early, old, 1), (late, new, 1), (late, old, 0), (early, new, 0)):
        found = TRACK.score(case.problem, case.truth, Subspace(site=site, basis=rows))
        assert found["interchange_accuracy"] == pytest.approx(score, abs=0.05)


def test_one_of_three_copies_does_not_decide_and_two_do() -> None:
    model, concept = journey("copied")
    site = concept.sites[-1]
    copies = [negative.basis for negative in concept.near if negative.site == site]
    together = concept.causal.variables[0].carriers[site]
    torch.testing.assert_close(sum(copies) / 3**0.5, together)
    generator = torch.Generator().manual_seed(0)
    trial = ConceptTrial(model, concept.causal, concept.show, concept.sites, 4, 32, generator)
    assert trial.changed(site, copies[1]) == 0
    assert trial.agreement(site, torch.cat(copies[1:]), swapped=(0,)) >= 0.95


def test_what_is_left_of_an_erased_code_has_no_sign() -> None:
    model, concept = journey("erased")
    generator = torch.Generator().manual_seed(9)
    values = torch.randint(4, (600, 2), generator=generator)
    inputs = concept.show(values, generator)
    here, behind = concept.sites[concept.stages[1] - 1], concept.sites[concept.stages[1]]
    rows = concept.causal.variables[0].carriers[here]
    before, after = (
        (model.activations(inputs, site)[:, -2] @ rows.T).gather(1, values[:, :1]) for site in (here, behind)
    )
    assert behind not in concept.causal.variables[0].carriers
    assert abs(float(after.mean() / before.mean())) < 0.05
    assert float(after.std() / before.mean()) < 0.5


def test_without_the_erasing_neurons_a_probe_reads_what_should_be_gone() -> None:
    model, concept = journey("erased")
    assert failed(model, concept) == set()
    block = model.transformer.blocks[concept.stages[1]]
    block.mlp_out.write(torch.zeros_like(block.mlp_out.read()))
    assert "erased_probe" in failed(model, concept)


def test_without_the_copying_neurons_nothing_is_decided() -> None:
    model, concept = journey("copied")
    assert failed(model, concept) == set()
    block = model.transformer.blocks[concept.stages[1]]
    block.mlp_out.write(torch.zeros_like(block.mlp_out.read()))
    assert "own" in failed(model, concept)


def test_a_decoy_that_is_read_is_no_decoy() -> None:
    model, concept = journey("kept", decoy=3.0)
    assert failed(model, concept) == set()
    head = model.transformer.head.module.weight.data
    outputs = concept.causal.variables[0].outputs
    assert outputs is not None
    head[outputs] += 100 * concept.near[0].basis.to(head)
    assert "decoy" in failed(model, concept)


def test_a_decoy_is_louder_by_its_dial_and_absent_at_zero() -> None:
    model, concept = journey("kept", decoy=3.0)
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(4, (64, 3), generator=generator)
    x = model.activations(concept.show(values, generator), concept.sites[-1])[:, -1]
    variable, _, decoy = (v.carriers[concept.sites[-1]] for v in concept.causal.variables)
    loud, plain = (x @ decoy.T).norm(dim=1).median(), (x @ variable.T).norm(dim=1).median()
    assert float(loud / plain) == pytest.approx(3, abs=0.5)
    case = planted("native-150k", "decoy_concept", 0, decoy=0.0)
    assert len(case.truth.causal.variables) == 2
    assert case.certificate.passed, case.certificate.reason


def test_sites_behind_the_eraser_are_asked_and_carry_nothing() -> None:
    case = planted("native-150k", "erased_concept", 0)
    assert case.problem.position == -2
    assert case.problem.sites[-1] not in case.truth.carriers
    assert case.problem.sites == case.problem.model.sites


@pytest.mark.parametrize("act", [torch.nn.functional.gelu, torch.nn.functional.silu, torch.relu])
def test_a_pair_of_neurons_is_linear(act: Any) -> None:
    pair = linear("in", torch.ones(1), "out", torch.tensor([2.0]))
    x = torch.linspace(-3, 3, 13)
    written = sum(act(x * neuron.reads[0][1]) * neuron.code for neuron in pair)
    torch.testing.assert_close(written, 2 * x)


def test_stages_are_different_layers_in_order() -> None:
    for seed in range(5):
        stages = draw_stages(1, 6, 3, torch.Generator().manual_seed(seed))
        assert list(stages) == sorted(set(stages))
        assert min(stages) >= 1
        assert max(stages) <= 5
    with pytest.raises(PlantingError, match="takes 4 layers"):
        draw_stages(0, 3, 4, torch.Generator())
