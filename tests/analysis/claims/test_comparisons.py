"""Claims of capability, modality, dictionaries and rankings on trials whose truth is known, both ways."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from interp_bench.analysis.claims import ModelFacts, evidence_of
from interp_bench.analysis.claims.dictionaries_grow import smallest_sizes
from interp_bench.analysis.claims.image_or_lm import pairs_of
from tests.claim_trials import SIZES, found, sloped, trials_of
from tests.simulated import SimulatedModel, SimulatedTechnique, ladder

# -------------------------------------------------------------------------------------------- capability


def capable(count=12, metric="accuracy"):
    """Return models of four ladders, with capability that is no function of size."""
    models, facts = [], []
    for index in range(count):
        model = SimulatedModel(
            id=f"m{index:02}", params=int(10 ** (6 + (index * 7 % count) / 3)), ladder=f"l{index % 4}"
        )
        models.append(model)
        facts.append(
            ModelFacts(
                id=model.id, params=model.params, modality="lm", ladder=model.ladder,
                trained=True, metric=metric, capability=0.3 + 0.05 * index,
            )
        )  # fmt: skip
    return models, facts


def by_capability(facts, shape):
    known = {one.id: one for one in facts}
    return lambda technique, task, model: shape(known[model.id].capability, math.log10(model.params))


def test_a_window_of_capability_is_found_with_its_break():
    models, facts = capable()
    trials = trials_of(by_capability(facts, lambda c, s: 0.8 - 2 * abs(c - 0.6)), models)
    finding = found("capability-window", trials, facts)
    assert finding.verdict == "supported"
    assert finding.effect == pytest.approx(0.2, abs=0.05)
    assert finding.unit == "skill per tenth of accuracy"
    assert "the break lies between m05 and m07" in finding.reason or "m06" in finding.reason
    before, after = finding.chart.lines
    assert before.y[0] < before.y[1] > after.y[1]


@pytest.mark.parametrize("slope", [0.8, -0.8])
def test_what_only_rises_or_only_falls_is_no_window(slope):
    models, facts = capable()
    trials = trials_of(by_capability(facts, lambda c, s: 0.5 + slope * (c - 0.6)), models, noise=0.02)
    assert found("capability-window", trials, facts).verdict == "against"


def test_the_steps_of_a_training_are_a_capability_too():
    steps = [10**3, 2 * 10**3, 5 * 10**3, 10**4, 2 * 10**4, 5 * 10**4, 10**5, 2 * 10**5]
    models = [SimulatedModel(id=f"step-{n}", params=10**8, ladder="training") for n in steps]
    facts = [
        ModelFacts(id=one.id, params=10**8, modality="lm", ladder="training", axis="training", steps=n)
        for one, n in zip(models, steps, strict=True)
    ]
    known = {one.id: one.steps for one in facts}
    trials = trials_of(
        lambda technique, task, model: 0.8 - 0.3 * abs(math.log10(known[model.id]) - 4.15), models
    )
    finding = found("capability-window", trials, facts)
    assert (finding.verdict, finding.unit) == ("supported", "skill per decade of optimiser steps")


def test_without_figures_of_capability_nothing_is_said_of_it():
    models, _ = capable()
    for name in ("capability-window", "capability-not-size"):
        finding = found(name, trials_of(sloped(0.1), models))
        assert (finding.verdict, finding.effect) == ("undecided", None)
        assert "capability" in finding.reason


@pytest.mark.parametrize(
    ("of_capability", "of_size", "verdict"), [(1.0, 0.0, "supported"), (0.0, 0.1, "against")]
)
def test_size_and_capability_are_told_apart(of_capability, of_size, verdict):
    models, facts = capable()
    trials = trials_of(by_capability(facts, lambda c, s: of_capability * c + of_size * (s - 7)), models)
    finding = found("capability-not-size", trials, facts)
    assert finding.verdict == verdict
    assert "partial R2 over models is" in finding.reason


def test_size_and_capability_that_go_together_cannot_be_told_apart():
    models, facts = capable()
    same = [replace(one, capability=math.log10(one.params)) for one in facts]
    finding = found("capability-not-size", trials_of(by_capability(facts, lambda c, s: c), models), same)
    assert (finding.verdict, finding.reason) == (
        "undecided",
        "size and capability cannot be told apart on these models",
    )


@pytest.mark.parametrize(("exponent", "verdict"), [(-0.5, "supported"), (0.5, "against")])
def test_superposition_at_equal_capability(make_trial, exponent, verdict):
    _, facts = capable()
    noise = np.random.default_rng(0)
    trials = []
    for one in facts:
        decades = exponent * math.log10(one.params / 1e7) + one.capability + 0.02 * noise.standard_normal()
        scores = {"features_per_dimension": float(10**decades)}
        trials += [
            make_trial(model=one.id, params=one.params, ladder=one.ladder, seed=seed, ceiling_scores=scores)
            for seed in range(3)
        ]
    finding = found("bigger-less-superposition", trials, facts)
    assert finding.verdict == verdict
    assert finding.effect == pytest.approx(-exponent, abs=0.05)


# ------------------------------------------------------------------------------------- modalities, sizes


def one(name, params, modality, ladder="l", trained=False):
    return ModelFacts(id=name, params=params, modality=modality, ladder=ladder, trained=trained)


def paired(*models):
    return [(pair.image.id, pair.lm.id) for pair in pairs_of(models)]


def test_models_are_paired_once_by_the_nearest_size():
    images = [one("i1", 1_000_000, "image"), one("i2", 1_100_000, "image"), one("i3", 10**9, "image")]
    lms = [one("t1", 1_200_000, "lm"), one("t2", 3_000_000, "lm"), one("t3", 10**7, "lm")]
    assert paired(*images, *lms) == [("i1", "t2"), ("i2", "t1")]


def test_ladders_without_a_pair_come_before_nearer_sizes():
    images = [
        one("v1", 10**6, "image", "vit"),
        one("v2", 10**7, "image", "vit"),
        one("r", 2 * 10**7, "image", "resnet"),
    ]
    lms = [one("n1", 10**6, "lm", "native"), one("n2", 10**7, "lm", "native")]
    assert paired(*images, *lms) == [("v1", "n1"), ("r", "n2")]


def test_random_weights_are_not_paired_with_trained_ones():
    images = [one("random", 10**6, "image"), one("trained", 2 * 10**6, "image", trained=True)]
    assert paired(*images, one("lm", 10**6, "lm", trained=True)) == [("trained", "lm")]


@pytest.mark.parametrize(("more", "verdict"), [(0.4, "supported"), (-0.4, "against"), (0.0, "undecided")])
def test_image_nets_against_language_models(more, verdict):
    image = [*ladder(SIZES[:3], "vit", "image"), *ladder(SIZES[2:], "resnet", "image")]
    lms = [*ladder(SIZES[:3], "gpt", "lm"), *ladder(SIZES[2:], "llama", "lm")]
    techniques = [SimulatedTechnique(name=f"t{index}", track="features") for index in range(5)]
    trials = [
        *trials_of(lambda *_: 0.5 + more, image, techniques, tasks=["visual_dictionary"]),
        *trials_of(lambda *_: 0.5, lms, techniques, tasks=["dictionary"]),
        # tasks of one modality alone, which are no evidence
        *trials_of(lambda *_: 0.99, lms, techniques, tasks=["sphinx"]),
    ]
    finding = found("images-better-than-lms", trials)
    assert finding.verdict == verdict
    assert finding.effect == pytest.approx(more, abs=0.05)
    assert finding.n == 6
    assert "1 task of features" in finding.scope


def test_one_ladder_of_either_side_cannot_speak_for_its_modality():
    models = [*ladder(SIZES, "vit", "image"), *ladder(SIZES, "gpt", "lm")]
    techniques = [SimulatedTechnique(name=f"t{index}", track="triggers") for index in range(5)]
    trials = trials_of(
        lambda t, k, m: 0.9 if m.modality == "image" else 0.1, models, techniques, tasks=["universal_patch"]
    )
    finding = found("images-better-than-lms", trials)
    assert (finding.verdict, finding.effect) == ("undecided", None)


def dictionaries(make_trial, needed, technique="sae"):
    """Return trials of dictionaries of several sizes; those of ``needed(width)`` or more match."""
    widths, trials, noise = [32, 64, 128, 256, 512], [], np.random.default_rng(0)
    for width in widths:
        least = needed(width) * 2 ** float(0.05 * noise.standard_normal())
        for power in range(2, 28):
            size = round(2 ** (power / 2))
            trials += [
                make_trial(
                    model=f"d{width}", params=width**2, technique=technique, seed=seed, run_id=str(power),
                    scores={"mcc": 0.9 if size >= least else 0.4, "directions": size},
                )
                for seed in range(2)
            ]  # fmt: skip
    facts = [ModelFacts(id=f"d{w}", params=w**2, modality="lm", ladder="native", width=w) for w in widths]
    return trials, facts


@pytest.mark.parametrize(("exponent", "verdict"), [(1.5, "supported"), (0.5, "against")])
def test_the_exponent_of_the_smallest_dictionary(make_trial, exponent, verdict):
    trials = []
    for name in ("sae", "ica", "nmf"):
        more, facts = dictionaries(make_trial, lambda width: width**exponent, name)
        trials += more
    finding = found("dictionaries-outgrow-width", trials, facts)
    assert finding.verdict == verdict
    assert finding.effect == pytest.approx(exponent, abs=0.1)
    assert finding.chart.y_log


def test_a_dictionary_is_the_smallest_only_if_a_smaller_one_failed(make_trial):
    trials = [
        make_trial(technique="a", run_id="1", scores={"mcc": 0.9, "directions": 8}),
        make_trial(technique="b", run_id="1", scores={"mcc": 0.5, "directions": 8}),
        make_trial(technique="c", run_id="1", scores={"mcc": 0.5, "directions": 8}),
        make_trial(technique="c", run_id="2", scores={"mcc": 0.9, "directions": 16}),
        make_trial(technique="c", run_id="3", scores={"mcc": 0.95, "directions": 32}),
    ]
    assert smallest_sizes(evidence_of(trials)) == {("features/c", "features/dictionary", "tiny"): 16}


@pytest.mark.parametrize(("same", "verdict"), [(True, "supported"), (False, "against")])
def test_rankings_on_small_models_and_the_largest(same, verdict):
    trials = []
    for track in ("features", "circuits", "concepts", "triggers"):
        techniques = [SimulatedTechnique(name=f"t{index}", track=track) for index in range(12)]

        def rule(technique, task, model):
            place = int(technique.name[1:]) / 12
            return place if same or model.params == 10**9 else 1 - place

        trials += trials_of(rule, ladder([10**6, 10**7, 10**9]), techniques, noise=0.15)
    finding = found("small-ranks-as-large", trials)
    assert (finding.verdict, finding.n, finding.n_of) == (verdict, 4, "tracks")
    assert ("the cheapest model that predicts the largest is" in finding.reason) == same
    assert {point.label for point in finding.chart.points} == {
        "rungs-1000000 for rungs-1000000000",
        "rungs-10000000 for rungs-1000000000",
    }


def test_rankings_in_two_tracks_are_too_few():
    techniques = [SimulatedTechnique(name=f"t{index}", track="features") for index in range(12)]
    trials = trials_of(lambda t, k, m: int(t.name[1:]) / 12, ladder([10**6, 10**9]), techniques)
    finding = found("small-ranks-as-large", trials)
    assert (finding.verdict, finding.effect) == ("undecided", None)
    assert finding.reason.endswith("there are features")
