"""A conjunction planted in channel groups: its images, its way, its certificate, and what techniques see."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from interp_bench.errors import PlantingError
from interp_bench.harness.discovery import load_file
from interp_bench.model.channel_graph import channel_groups
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.channels.dials import ChannelDials
from interp_bench.planting.channels.plant import plant_conjunction
from interp_bench.planting.circuit import CircuitBounds, certify_circuit
from interp_bench.registry import load_registry
from interp_bench.techniques.circuits.gradients import eap
from interp_bench.techniques.circuits.guess import random
from interp_bench.techniques.circuits.integrated import eap_ig
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import TRACK, CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import planted_circuit

TASKS = Path(__file__).parents[2] / "tasks" / "circuits"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def narrow_resnet() -> Model:
    """A ResNet of timm that is narrow, with norms as uneven as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(
            "resnet18", num_classes=8, channels=(40, 40, 48, 48), layers=(2, 1, 1, 1), zero_init_last=False
        )
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data = 0.5 + torch.rand(part.weight.shape, generator=generator(1))
            part.bias.data = 0.3 * torch.randn(part.bias.shape, generator=generator(2))
    return Model(load_registry().get("resnet18"), module.eval().requires_grad_(False))


def host(name: str) -> Model:
    return narrow_resnet() if name == "resnet" else open_model(load_registry().get("convnext-slim-20k"))


def planted(name: str, seed: int, **arguments: object) -> Planted[CircuitProblem, CircuitTruth]:
    load_file(TASKS / "bench_channels.py")
    found: Planted[CircuitProblem, CircuitTruth] = CATALOGUE.tasks["circuits/channel_conjunction"].function(
        host(name), seed, **arguments
    )
    return found


def scores(pair: Planted[CircuitProblem, CircuitTruth], technique: object) -> dict[str, float]:
    assert callable(technique)
    return TRACK.score(pair.problem, pair.truth, technique(pair.problem))


# --------------------------------------------------------------- the certificate
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_it_is_certified_and_integrated_gradients_find_it(name: str, seed: int) -> None:
    model = host(name)
    circuit = plant_conjunction(model, seed=seed)
    pair = planted_circuit(model, circuit, seed=seed, n_pairs=4, bounds=CircuitBounds(rows=2))
    assert pair.certificate.passed, pair.certificate.reason
    assert scores(pair, eap_ig)["auroc"] >= 0.95


def test_guessing_finds_nothing() -> None:
    found = []
    pair = planted("convnext", 0)
    for seed in range(20):
        problem = CircuitProblem(
            model=pair.problem.model, seed=seed, clean=pair.problem.clean,
            corrupted=pair.problem.corrupted, outcomes=pair.problem.outcomes,
        )  # fmt: skip
        found.append(TRACK.score(problem, pair.truth, random(problem))["auroc"])
    assert 0.4 <= sum(found) / len(found) <= 0.6


def test_saturation_hides_the_circuit_from_gradients_at_one_point() -> None:
    found = []
    for saturation in (0.0, 1.0):
        model = host("resnet")
        circuit = plant_conjunction(model, seed=1, dials=ChannelDials(saturation=saturation))
        shown = circuit.pairs(8, generator(2))
        problem = CircuitProblem(
            model=model, seed=0, clean=shown.clean, corrupted=shown.corrupted, outcomes=shown.outcomes
        )
        graded = TRACK.score(problem, CircuitTruth(edges=circuit.edges), eap(problem))
        found.append(graded["average_precision"])
    assert found[0] >= 0.9
    assert found[1] <= found[0] - 0.3


@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_another_route_is_not_certified(name: str) -> None:
    model = host(name)
    circuit = plant_conjunction(model, seed=0)
    names = [edge[0] for edge in circuit.edges]
    last = model.graph.destinations[-1]
    other = next(s for s in model.graph.sources[last.first :] if s not in names)
    wrong = type(circuit)(
        edges=(*circuit.edges[:-1], (other, "logits")),
        candidates=circuit.candidates, pairs=circuit.pairs, near=circuit.near,
    )  # fmt: skip
    certificate = certify_circuit(model, wrong, generator(3), CircuitBounds(rows=1))
    assert not certificate.passed
    assert "sufficiency" in certificate.reason
    assert f"necessity[{other}->logits]" in certificate.reason


def test_two_shares_are_both_needed() -> None:
    pair = planted("resnet", 0, shares=2)
    assert pair.certificate.passed, pair.certificate.reason
    stems = {source for source, _ in pair.truth.edges if source.startswith("stem")}
    assert len(stems) == 4


def test_the_seed_decides_everything_and_the_global_generator_nothing() -> None:
    before = torch.get_rng_state()
    weights = []
    for seed in (3, 3, 4):
        model = host("convnext")
        plant_conjunction(model, seed=seed)
        weights.append(torch.cat([p.flatten() for p in model.module.parameters()]))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    with pytest.raises(PlantingError, match="too few for 4 patterns"):
        plant_conjunction(host("convnext"), seed=0, dials=ChannelDials(n_values=4))
    with pytest.raises(PlantingError, match="too few channel groups for 5 carriers"):
        plant_conjunction(host("convnext"), seed=0, dials=ChannelDials(shares=2))
    with pytest.raises(PlantingError, match="9 classes need as many logits"):
        plant_conjunction(narrow_resnet(), seed=0, dials=ChannelDials(n_values=9))
    with pytest.raises(PlantingError, match="80 lures and a pair need 81 places"):
        plant_conjunction(narrow_resnet(), seed=0, dials=ChannelDials(lures=40))


# --------------------------------------------------------------------- behaviour
def test_one_pattern_alone_says_nothing_about_the_class() -> None:
    circuit = plant_conjunction(host("convnext"), seed=0)
    pairs = circuit.near(300, generator(5))
    assert bool((pairs.outcomes[:, 0] != pairs.outcomes[:, 1]).all())
    shares = torch.stack([(pairs.outcomes[:, 0] == c).double().mean() for c in circuit.candidates])
    assert float((shares - 1 / 3).abs().max()) < 0.1


def test_near_images_differ_in_one_patch_only() -> None:
    pairs = plant_conjunction(host("convnext"), seed=0).near(6, generator(5))
    changed = (pairs.clean != pairs.corrupted).any(1)
    for mask in changed:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert int(rows.max() - rows.min()) < 8
        assert int(columns.max() - columns.min()) < 8
    unrelated = plant_conjunction(host("convnext"), seed=0).pairs(50, generator(5))
    assert bool((unrelated.outcomes[:, 0] != unrelated.outcomes[:, 1]).all())


def test_carriers_lie_in_the_groups_that_the_route_names() -> None:
    """Replacing one carrying group at one layer by another image's changes the decision, others do not."""
    model = host("convnext")
    circuit = plant_conjunction(model, seed=0)
    pairs = circuit.pairs(32, generator(9))
    layer = model.sites[-1]
    carrying = next(s for s, d in circuit.edges if d == "logits")
    with torch.no_grad(), model.record(layer) as cache:
        model(pairs.corrupted)
    other = cache[layer]
    for group, channels in enumerate(channel_groups(other.shape[-1])):

        def swap(x: torch.Tensor, channels: slice = channels) -> torch.Tensor:
            x = x.clone()
            x[..., channels] = other[..., channels]
            return x

        with torch.no_grad(), model.patch({layer: swap}):
            kept = circuit.decided(model(pairs.clean)) == pairs.outcomes[:, 0]
        carries = f"{layer}.g{group}" == carrying
        assert (kept.double().mean() <= 0.2) if carries else (kept.double().mean() >= 0.9)
