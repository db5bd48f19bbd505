"""Planted circuits: certified on every kind of host, refused where they do not fit, broken when cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp_bench.errors import PlantingError
from interp_bench.harness.discovery import load_file
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.circuit import CircuitBounds, certify_circuit
from interp_bench.planting.circuits.induction import Induction, plant_induction
from interp_bench.planting.evidence.base import draw_classes
from interp_bench.planting.evidence.transformer import plant_evidence_transformer
from interp_bench.registry import load_registry
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from tests.model.conftest import build


def host(name: str) -> Model:
    return open_model(load_registry().get(name))


def certificate_of(model: Model, plant: Induction, edges: tuple[tuple[str, str], ...] | None = None):
    circuit = plant.circuit if edges is None else replace(plant.circuit, edges=edges)
    return certify_circuit(model, circuit, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["native-30k", "native-900k", "native-rope-1m"])
def test_induction_is_certified(name: str, seed: int) -> None:
    model = host(name)
    plant = plant_induction(model, seed=seed)
    certificate = certificate_of(model, plant)
    assert certificate.passed, certificate.reason


def test_a_wrong_circuit_is_not_certified() -> None:
    model = host("native-150k")
    plant = plant_induction(model, seed=0)
    wrong = (*(edge for edge in plant.edges if edge[1] != "logits"), ("m0", "logits"))
    certificate = certificate_of(model, plant, wrong)
    assert not certificate.passed
    assert "sufficiency" in certificate.reason
    assert "necessity[m0->logits]" in certificate.reason


def test_an_unplanted_host_is_not_certified() -> None:
    model = host("native-150k")
    plant = plant_induction(model, seed=0)
    certificate = certificate_of(host("native-150k"), plant)
    assert "behaviour" in certificate.reason


def test_near_pairs_differ_in_the_last_token_and_in_the_answer() -> None:
    plant = plant_induction(host("native-150k"), seed=0)
    pairs = plant.circuit.near(20, torch.Generator().manual_seed(0))
    assert bool((pairs.clean[:, :-1] == pairs.corrupted[:, :-1]).all())
    for inputs, outcome in zip((pairs.clean, pairs.corrupted), pairs.outcomes.unbind(1), strict=True):
        for row, answer in zip(inputs.tolist(), outcome.tolist(), strict=True):
            assert row[row.index(row[-1]) + 1] == answer
    assert bool((pairs.outcomes[:, 0] != pairs.outcomes[:, 1]).all())


def test_the_seed_moves_the_circuit() -> None:
    found = {plant_induction(host("native-5m"), seed=seed).edges for seed in range(6)}
    assert len(found) >= 4
    again = [plant_induction(host("native-5m"), seed=1).alphabet.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_a_host_too_narrow_is_refused_in_one_line() -> None:
    with pytest.raises(PlantingError, match="wider host") as caught:
        plant_induction(build("gpt2-narrow"), seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("groups", [(8,), (4, 4)])
@pytest.mark.parametrize("name", ["native-30k", "native-rope-1m", "vit-slim-200k"])
def test_evidence_in_a_transformer_decides(name: str, groups: tuple[int, ...]) -> None:
    model = host(name)
    evidence = plant_evidence_transformer(model, groups, seed=1)
    generator = torch.Generator().manual_seed(9)
    classes = draw_classes(128, groups, generator)
    logits = evidence.read(model.logits(evidence.sample(classes, generator).inputs))
    for group in range(len(groups)):
        members = evidence.members(group)
        right = logits[:, members].argmax(-1) + members.start == classes[:, group]
        assert float(right.double().mean()) >= 0.97


def test_interchanging_carriers_swaps_one_group_only() -> None:
    model = host("native-150k")
    evidence = plant_evidence_transformer(model, (4, 4), seed=2)
    generator = torch.Generator().manual_seed(9)
    base, source = (draw_classes(64, (4, 4), generator) for _ in range(2))
    inputs, other = (evidence.sample(classes, generator).inputs for classes in (base, source))
    for site, carriers in evidence.carriers.items():
        rows = torch.linalg.qr(carriers[evidence.members(0)].T).Q.T
        donor = model.activations(other, site)

        def swap(own: torch.Tensor, rows: torch.Tensor = rows, donor: torch.Tensor = donor) -> torch.Tensor:
            new = own.clone()
            new[:, -1] += (donor[:, -1] - own[:, -1]) @ rows.T @ rows
            return new

        with torch.no_grad(), model.patch({site: swap}):
            logits = evidence.read(model(inputs))
        assert float((logits[:, :4].argmax(-1) == source[:, 0]).double().mean()) >= 0.95
        assert float((logits[:, 4:].argmax(-1) + 4 == base[:, 1]).double().mean()) >= 0.95


@pytest.fixture(scope="module", autouse=True)
def _tasks() -> None:
    for path in sorted((Path(__file__).parents[2] / "tasks" / "circuits").glob("bench_*.py")):
        load_file(path)


@pytest.mark.parametrize(
    ("task", "name"), [("circuits/induction", "native-150k"), ("circuits/evidence_route", "vit-slim-200k")]
)
def test_tasks_plant_certified_problems(task: str, name: str) -> None:
    planted: Planted[CircuitProblem, CircuitTruth] = CATALOGUE.tasks[task].function(host(name), 7)
    assert planted.certificate.passed, planted.certificate.reason
    assert len(planted.truth.edges) == 5
    assert planted.problem.seed != 7  # the seed of the plant would give the truth away
    problem = planted.problem
    assert bool((problem.metric(problem.model.logits(problem.clean)) > 0).all())
    assert bool((problem.metric(problem.model.logits(problem.corrupted)) < 0).all())


def test_bounds_are_what_the_certificate_checks() -> None:
    model = host("native-30k")
    plant = plant_induction(model, seed=1)
    strict = CircuitBounds(necessity=-1.0, random_sets=2)
    certificate = certify_circuit(model, plant.circuit, torch.Generator().manual_seed(0), strict, n_pairs=16)
    failed = [check.name for check in certificate.checks if not check.passed]
    assert all(name.startswith("necessity") for name in failed)
    assert len(failed) == len(plant.edges) + 1
