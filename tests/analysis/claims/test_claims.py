"""Claims of slopes on trials whose truth is known, in both directions, and what holds of every claim."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp_bench.analysis.claims import CLAIMS, VERDICTS, ModelFacts, evidence_of, findings_of, measured
from interp_bench.analysis.claims.more_work import works
from interp_bench.analysis.claims.scope import models_of
from tests.claim_trials import BY_NAME, SIZES, TECHNIQUES, found, sloped, trials_of
from tests.simulated import ladder

# ------------------------------------------------------------------------------------------------ slopes


@pytest.mark.parametrize(
    ("slope", "better", "worse"), [(0.1, "supported", "against"), (-0.1, "against", "supported")]
)
def test_a_slope_on_larger_lms_decides_both_claims(slope, better, worse):
    trials = trials_of(sloped(slope), ladder(SIZES))
    up, down = found("larger-lms-better", trials), found("larger-lms-worse", trials)
    assert (up.verdict, down.verdict) == (better, worse)
    assert up.effect == pytest.approx(slope, abs=0.02)
    assert (down.effect, down.low, down.high) == (-up.effect, -up.high, -up.low)
    assert up.low < slope < up.high
    assert (up.n, up.n_of) == (5, "models")
    assert "too few to speak for other architectures" in up.reason


def test_a_slope_of_image_nets_says_nothing_of_lms():
    trials = trials_of(sloped(0.1), ladder(SIZES, modality="image"))
    finding = found("larger-lms-better", trials)
    assert (finding.verdict, finding.effect, finding.n) == ("undecided", None, 0)
    assert finding.reason.endswith("there are none")


def test_a_training_is_no_ladder_of_size():
    models = [
        ModelFacts(id=f"rungs-{size}", params=size, modality="lm", ladder="rungs", axis="training")
        for size in SIZES
    ]
    assert found("larger-lms-better", trials_of(sloped(0.1), ladder(SIZES)), models).effect is None


def test_too_few_models_or_techniques_are_told_with_what_there_is():
    few = found("larger-lms-better", trials_of(sloped(0.1), ladder(SIZES[:3])))
    assert few.verdict == "undecided"
    assert "there are 6 techniques on 3 language models, rungs-100000 to rungs-10000000" in few.reason
    alone = found("larger-lms-better", trials_of(sloped(0.1), ladder(SIZES), TECHNIQUES[:2]))
    assert (alone.verdict, alone.effect) == ("undecided", None)


def test_what_failed_counts_as_0_and_is_told(make_trial):
    trials = [
        make_trial(technique=f"t{t}", model=f"m{m}", params=10**m, seed=seed, status=status, skill=skill)
        for t in range(5)
        for m in range(4, 9)
        for seed in range(3)
        for status, skill in [("timed_out", None) if (t, m) == (0, 8) else ("ok", 0.8 - 0.001 * t * seed)]
    ]
    finding = found("larger-lms-worse", trials)
    assert finding.effect == pytest.approx(0.8 * 2 / 10 / 5, abs=0.001)
    assert "1 of 25 cells hold trials that failed and count as 0" in finding.reason


def test_levels_of_ladders_make_no_slope():
    low, high = ladder(SIZES[:3], "low"), ladder(SIZES[2:], "high")

    def rule(technique, task, model):
        return 0.8 if model.ladder == "high" else 0.3

    finding = found("larger-lms-better", trials_of(rule, [*low, *high]))
    assert finding.verdict == "undecided"
    assert finding.effect == pytest.approx(0, abs=0.02)


def test_the_chart_shows_models_in_units_of_skill_with_the_slope_of_each_ladder():
    chart = found("larger-lms-better", trials_of(sloped(0.1), ladder(SIZES), noise=0.0)).chart
    assert [(point.label, point.x) for point in chart.points] == [
        (f"rungs-{size}", float(size)) for size in SIZES
    ]
    assert [point.y for point in chart.points] == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7])
    (line,) = chart.lines
    assert (line.x, line.y) == ((1e5, 1e9), pytest.approx((0.3, 0.7)))
    assert chart.x_log


def stepped(sign):
    """Each technique works from another size on, or up to it."""

    def rule(technique, task, model):
        edge = 5 + 4 * int(technique.name[-1]) / 5
        return 0.9 if sign * (math.log10(model.params) - edge) >= 0 else 0.1

    return rule


def test_what_works_is_counted():
    finding = found("more-work-on-larger-lms", trials_of(stepped(1), ladder(SIZES)))
    assert finding.verdict == "supported"
    assert [point.y for point in finding.chart.points] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 1])
    assert found("more-work-on-larger-lms", trials_of(stepped(-1), ladder(SIZES))).verdict == "against"


def test_one_seed_does_not_tell_whether_a_technique_works():
    trials = trials_of(sloped(0.2), ladder(SIZES), seeds=1)
    assert works(evidence_of(trials).cells[0]) is None
    assert found("more-work-on-larger-lms", trials).effect is None
    assert found("larger-lms-better", trials).verdict == "supported"


def test_only_oversized_image_nets_tell_of_oversized_image_nets():
    sizes = [3 * 10**8, 6 * 10**8, 10**9, 2 * 10**9, 6 * 10**9]
    small = [10**6, 10**7, 10**8]

    def rule(technique, task, model):
        return 0.1 * math.log10(model.params / 1e9) + 0.5 if model.params >= 3e8 else 0.9

    finding = found("oversized-images-clearer", trials_of(rule, ladder([*small, *sizes], modality="image")))
    assert (finding.verdict, finding.n) == ("supported", 5)
    less = found("oversized-images-clearer", trials_of(sloped(-0.2), ladder(sizes, modality="image")))
    assert less.verdict == "against"
    assert found("oversized-images-clearer", trials_of(rule, ladder(small, modality="image"))).effect is None


# ------------------------------------------------------------------------------------------------ all


def test_every_claim_is_undecided_on_nothing_and_says_what_it_needs():
    for claim, finding in findings_of([]):
        assert (finding.verdict, finding.effect, finding.n) == ("undecided", None, 0)
        assert finding.reason.startswith("needs ")
        assert all((claim.statement, claim.statistic, claim.bounds, claim.needs, finding.unit, finding.n_of))


def test_names_of_claims_are_their_own():
    assert len(BY_NAME) == len(CLAIMS)
    assert VERDICTS == ("supported", "against", "undecided")


def test_findings_do_not_depend_on_the_order_of_trials():
    trials = trials_of(sloped(0.1), [*ladder(SIZES[:4], "a"), *ladder(SIZES, "b")])
    shuffled = [trials[index] for index in np.random.default_rng(1).permutation(len(trials))]
    assert findings_of(trials) == findings_of(shuffled)


def test_skills_too_large_for_numbers_decide_nothing(make_trial):
    trials = [
        make_trial(technique=f"t{t}", model=f"m{m}", params=10**m, seed=seed, skill=(-1) ** (m + t) * 1e308)
        for t in range(4) for m in range(1, 7) for seed in range(2)
    ]  # fmt: skip
    for claim in CLAIMS:
        assert measured(claim, evidence_of(trials)).verdict == "undecided"


def test_a_model_without_parameters_is_left_out(make_trial):
    trials = [
        make_trial(technique=f"t{t}", model=f"m{m}", params=m, modality=modality, ladder=modality)
        for t in range(4) for m in range(3) for modality in ("lm", "image")
    ]  # fmt: skip
    assert {finding.verdict for _, finding in findings_of(trials)} == {"undecided"}


def test_the_scope_tells_random_weights_from_trained_ones():
    def one(name, trained):
        return ModelFacts(id=name, params=len(name), modality="lm", ladder="l", trained=trained)

    assert models_of([one("a", False)]) == "1 language models, a of the ladder l, random weights"
    assert models_of([one("a", False), one("bb", True)]).endswith(
        "a to bb of the ladder l, random and trained weights"
    )
    assert models_of([one("a", None), one("bb", True)]).endswith("a to bb of the ladder l")
