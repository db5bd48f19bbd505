"""Dictionaries planted in small hosts of every kind are what runs there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from interp_bench.errors import PlantingError
from interp_bench.harness.discovery import load_tasks
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.dictionaries.detectors import steady_read
from interp_bench.planting.dictionaries.plant import Dials, PlantedDictionary, plant_dictionary
from interp_bench.planting.dictionaries.proof import certify_dictionary
from interp_bench.planting.passes import read_sites
from interp_bench.registry import load_registry
from interp_bench.tracks.features import TRACK, Dictionary, FeatureProblem, FeatureTruth

HOSTS = ("native-30k", "native-rope-200k", "vit-slim-200k", "convnext-slim-20k", "resnet18", "neox")
DIALS = Dials(samples=1500)


def host(name: str) -> Model:
    registry = load_registry()
    if name != "neox":
        return open_model(registry.get(name))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.GPTNeoXConfig(
            hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128, vocab_size=64,
            bos_token_id=0, eos_token_id=0, initializer_range=0.2,
        )  # fmt: skip
        module = transformers.GPTNeoXForCausalLM(config)
    return Model(registry.get("native-30k"), module.eval().requires_grad_(False))


@pytest.fixture(scope="module", params=HOSTS)
def case(request: pytest.FixtureRequest) -> tuple[Model, PlantedDictionary]:
    model = host(request.param)
    return model, plant_dictionary(model, 0, DIALS)


def posed(model: Model, planted: PlantedDictionary) -> tuple[FeatureProblem, FeatureTruth]:
    problem = FeatureProblem(
        model=model,
        seed=1,
        site=planted.site,
        inputs=planted.inputs,
        rows=planted.rows,
        n_features=len(planted.gains),
        _recorded=planted.activations,
    )
    return problem, FeatureTruth(directions=planted.directions.float(), codes=planted.codes)


def test_certificate_passes(case: tuple[Model, PlantedDictionary]) -> None:
    certificate = certify_dictionary(*case)
    assert certificate.passed, certificate.reason
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in case[0].module.modules())


def test_samples_are_what_the_handle_reads_at_the_site(case: tuple[Model, PlantedDictionary]) -> None:
    model, planted = case
    whole = model.activations(planted.inputs, planted.site).flatten(0, 1)[planted.rows]
    torch.testing.assert_close(planted.activations, whole, rtol=1e-4, atol=1e-4)


def test_truth_scores_one_and_guessing_far_below(case: tuple[Model, PlantedDictionary]) -> None:
    model, planted = case
    problem, truth = posed(model, planted)
    assert TRACK.score(problem, truth, TRACK.true_answer(problem, truth))["mcc"] == pytest.approx(1)
    guess = torch.randn(problem.max_directions, problem.d_site, generator=problem.generator())
    assert TRACK.score(problem, truth, Dictionary(directions=guess))["mcc"] < 0.6


def test_firing_rates_follow_the_dials(case: tuple[Model, PlantedDictionary]) -> None:
    rates = (case[1].codes > 0).double().mean(0)
    assert float(rates[0]) == pytest.approx(DIALS.p_hi, abs=0.005)
    assert float(rates[-1]) == pytest.approx(DIALS.p_lo, abs=0.005)


def test_planted_part_has_the_asked_strength(case: tuple[Model, PlantedDictionary]) -> None:
    planted = case[1]
    part = planted.codes.double() @ planted.directions
    rest = planted.activations.double() - part
    ratio = (part - part.mean(0)).square().sum(1).mean() / (rest - rest.mean(0)).square().sum(1).mean()
    assert float(ratio.sqrt()) == pytest.approx(DIALS.snr, rel=0.25)


def test_certificate_fails_when_a_unit_writes_elsewhere(case: tuple[Model, PlantedDictionary]) -> None:
    model, planted = case
    turned = planted.directions.clone()
    turned[0] = turned[1]
    certificate = certify_dictionary(model, replace(planted, directions=turned))
    assert "direction" in certificate.reason


def test_certificate_fails_when_codes_are_too_large(case: tuple[Model, PlantedDictionary]) -> None:
    model, planted = case
    certificate = certify_dictionary(model, replace(planted, gains=planted.gains * 1.2))
    assert "sufficiency error" in certificate.reason
    assert "amplitude error" in certificate.reason


def test_certificate_fails_when_another_mechanism_runs() -> None:
    model = host("native-30k")
    planted = plant_dictionary(model, 0, DIALS)
    planted.held[0].branch.silence(planted.held[0].units[:1], model.width(planted.site))
    assert "direction 0" in certify_dictionary(model, planted).reason


def test_equal_seeds_plant_equally_and_other_seeds_do_not() -> None:
    first, again, other = (plant_dictionary(host("native-30k"), seed, DIALS) for seed in (3, 3, 4))
    assert torch.equal(first.activations, again.activations)
    assert torch.equal(first.directions, again.directions)
    assert not torch.equal(first.directions, other.directions)


def test_planting_leaves_the_global_generator_alone() -> None:
    model = host("vit-slim-200k")
    before = torch.get_rng_state()
    plant_dictionary(model, 0, DIALS)
    assert torch.equal(before, torch.get_rng_state())


def test_correlated_detectors_fire_together() -> None:
    def largest_overlap(correlation: float) -> float:
        dials = replace(DIALS, correlation=correlation, p_lo=0.08)
        fires = (plant_dictionary(host("native-150k"), 0, dials).codes > 0).double()
        together = torch.corrcoef(fires.T) - torch.eye(fires.shape[1])
        return float(together.amax(1).mean())

    assert largest_overlap(0.8) > largest_overlap(0.0) + 0.1


def test_too_few_features_are_refused() -> None:
    with pytest.raises(PlantingError, match="room for 2 features"):
        plant_dictionary(host("native-30k"), 0, replace(DIALS, max_features=2))


def test_steady_read_finds_the_constant_coordinate() -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 1] = 4.0
    read = steady_read(x)
    torch.testing.assert_close(x @ read, torch.ones(500, dtype=torch.float64), rtol=0, atol=0.02)


def test_passes_stop_at_the_last_site_and_take_every_hook_off() -> None:
    model = host("native-30k")
    tokens = torch.zeros(5, 4, dtype=torch.long)
    seen: list[int] = []
    late = model.site("blocks.3.hook_resid_post").module
    handle = late.register_forward_hook(lambda *_: seen.append(1))
    sites = ("blocks.1.hook_resid_mid", "blocks.1.hook_resid_post")
    mid, post = read_sites(model, tokens, sites, batch_size=2)
    handle.remove()
    assert seen == []
    torch.testing.assert_close(mid, model.activations(tokens, sites[0]))
    torch.testing.assert_close(post, model.activations(tokens, sites[1]))
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in model.module.modules())


@pytest.mark.parametrize(
    ("name", "model"), [("dictionary", "native-30k"), ("visual_dictionary", "vit-slim-200k")]
)
def test_tasks_pose_what_was_planted(name: str, model: str) -> None:
    path = Path(__file__).parents[2] / "tasks" / "features" / "bench_dictionary.py"
    tasks = {task.name: task for task in load_tasks(path)}
    planted = tasks[name].function(host(model), 0, samples=1500)
    assert planted.certificate.passed
    assert planted.problem.n_samples == 1500
    assert planted.problem.seed != tasks[name].function(host(model), 1, samples=1500).problem.seed
    other = replace(planted.problem, seed=7)
    assert torch.equal(other.activations(), planted.problem.activations())
    answer = TRACK.true_answer(planted.problem, planted.truth)
    assert TRACK.score(planted.problem, planted.truth, answer)["f1"] == pytest.approx(1)
    assert tasks["dictionary"].needs.unmet_by("image", "vit", 1) is not None
    assert tasks["visual_dictionary"].needs.unmet_by("lm", "native", 1) is not None
