"""Statistics of features follow hand-worked rates, and SynthSAEBench's parameters its published figures."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.planting.dictionaries import statistics
from interp_bench.planting.dictionaries.directions import largest_cosines, random_directions
from interp_bench.planting.dictionaries.rates import Forest, zipf_rates
from interp_bench.planting.dictionaries.statistics import (
    SYNTH_SAE_BENCH_16K,
    FeatureStatistics,
    Parameters,
    folded_normal,
)

PLAIN = Parameters(
    n_features=3, width=4, p_hi=0.5, p_lo=0.1, exponent=1.0, roots=0, branching=2, depth=0, coupling=0.0,
    spread=0.0, spread_sd=0.0,
)  # fmt: skip
FAMILY = replace(PLAIN, roots=1, depth=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(parameters: Parameters) -> FeatureStatistics:
    directions = random_directions(parameters.n_features, parameters.width, generator(1))
    return FeatureStatistics(parameters, directions, generator(2))


def drawn(subject: FeatureStatistics, n: int = 40_000) -> Tensor:
    return torch.cat(list(subject.codes(n, generator(3))))


def test_zipf_rates_are_the_law_stretched_onto_the_bounds() -> None:
    expected = torch.tensor(
        [0.4, 0.2, 0.4 / 3, 0.1], dtype=torch.float64
    )  # 1, 1/2, 1/3, 1/4 less 1/4, times 4/3
    torch.testing.assert_close(zipf_rates(4, 0.4, 0.1, 1.0), expected)
    even = torch.tensor([0.08, 0.04, 0.02], dtype=torch.float64)
    torch.testing.assert_close(zipf_rates(3, 0.08, 0.02, 0.0), even)


@pytest.mark.parametrize(("p_hi", "p_lo", "exponent"), [(0.1, 0.2, 1.0), (1.0, 0.1, 1.0), (0.2, 0.1, -1.0)])
def test_rates_that_cannot_be_are_refused(p_hi: float, p_lo: float, exponent: float) -> None:
    with pytest.raises(PlantingError):
        zipf_rates(5, p_hi, p_lo, exponent)


def test_parents_are_numbered_level_by_level() -> None:
    pairs = Forest(n_features=7, roots=2, branching=2, depth=1)
    assert pairs.parents.tolist() == [-1, -1, 0, 0, 1, 1, -1]
    deep = Forest(n_features=8, roots=1, branching=2, depth=2)
    assert deep.parents.tolist() == [-1, 0, 0, 1, 1, 2, 2, -1]
    with pytest.raises(PlantingError, match="take 7 features, there are 6"):
        Forest(n_features=6, roots=1, branching=2, depth=2)


def test_rates_are_raised_for_parents_and_for_rivals() -> None:
    rates = torch.tensor([0.5, 0.1, 0.2, 0.3], dtype=torch.float64)
    raised = Forest(n_features=4, roots=1, branching=2, depth=1).compensated(rates)
    expected = torch.tensor([0.5, 0.2 * 1.4, 0.4 * 1.2, 0.3], dtype=torch.float64)
    torch.testing.assert_close(raised, expected)


def test_features_without_trees_fire_at_their_rates() -> None:
    subject = built(PLAIN)
    rates = (drawn(subject) > 0).double().mean(0)
    torch.testing.assert_close(rates, subject.rates, rtol=0, atol=4 * math.sqrt(0.25 / 40_000))


def test_children_fire_with_their_parent_and_one_at_a_time() -> None:
    parameters = replace(
        PLAIN, n_features=21, roots=1, branching=4, depth=2, p_hi=0.9, p_lo=0.05, exponent=0.2
    )
    fires = drawn(built(parameters), 5000) > 0
    parents = Forest(n_features=21, roots=1, branching=4, depth=2).parents
    children = parents >= 0
    assert not (fires[:, children] & ~fires[:, parents[children]]).any()
    for parent in range(5):
        siblings = (parents == parent).nonzero().flatten()
        assert int(fires[:, siblings].sum(1).max()) == 1
    both = drawn(built(replace(parameters, exclusive=False)), 5000) > 0
    assert int(both[:, 1:5].sum(1).max()) > 1


def test_a_child_fires_as_often_as_chance_and_its_rival_leave() -> None:
    subject = built(FAMILY)
    assert subject.rates.tolist() == pytest.approx([0.5, 0.2, 0.1])
    a, b = 0.4 * 1.2, 0.2 * 1.4  # over the parent's rate, times one plus the rival's
    expected = 0.5 * torch.tensor([a * (1 - b) + a * b / 2, b * (1 - a) + a * b / 2], dtype=torch.float64)
    rates = (drawn(subject) > 0).double().mean(0)[1:]
    torch.testing.assert_close(rates, expected, rtol=0, atol=0.008)


def test_a_child_is_scaled_by_its_parent_over_the_parents_mean() -> None:
    parameters = replace(FAMILY, spread=1.0, p_hi=0.9, p_lo=0.8, exclusive=False)
    codes = drawn(built(parameters))
    codes = codes[(codes > 0).all(1)]
    shares = codes[:, 1] / (codes[:, 0] / 5.0)
    assert float(shares.mean()) == pytest.approx(4.5, abs=0.05)  # its own mean, halfway from 5 to 4
    assert float(torch.corrcoef(codes[:, :2].T)[0, 1]) > 0.5
    free = drawn(built(replace(parameters, scaled=False)))
    free = free[(free > 0).all(1)]
    assert abs(float(torch.corrcoef(free[:, :2].T)[0, 1])) < 0.05


def test_shared_gaussians_make_features_fire_together_or_apart() -> None:
    subject = built(replace(PLAIN, p_hi=0.5, p_lo=0.4999, rank=1))
    subject.loadings = torch.tensor([[0.9], [0.9], [-0.9]])
    fires = (drawn(subject) > 0).double()
    together = fires.T @ fires / len(fires)
    angle = math.asin(0.81) / (2 * math.pi)  # both above the median: Sheppard 1899
    assert float(together[0, 1]) == pytest.approx(0.25 + angle, abs=0.01)
    assert float(together[0, 2]) == pytest.approx(0.25 - angle, abs=0.01)


def test_loadings_never_exceed_what_a_gaussian_has() -> None:
    loadings = built(replace(PLAIN, rank=25, coupling=1.0)).loadings
    assert float(loadings.square().sum(1).max()) == pytest.approx(0.99, abs=1e-4)


def test_spreads_follow_the_folded_normal() -> None:
    found = folded_normal(100_000, 0.5, 0.5, generator())
    # sd sqrt(2/pi) exp(-mean^2 / 2 sd^2) + mean (1 - 2 Phi(-mean/sd)) with mean = sd
    assert float(found.mean()) == pytest.approx(0.5 * 0.79788 * 0.60653 + 0.5 * 0.68269, abs=0.005)


def test_activations_are_codes_along_directions_plus_a_bias_of_the_asked_norm() -> None:
    subject = built(PLAIN)
    codes = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 1.0]])
    rest, both = subject.activations(codes)
    assert float(rest.norm()) == pytest.approx(0.5)
    torch.testing.assert_close(both - rest, 2 * subject.directions[0] + subject.directions[2])


def test_samples_come_in_chunks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_CHUNK", 30)
    assert [len(codes) for codes in built(PLAIN).codes(25, generator())] == [10, 10, 5]


def test_directions_are_pushed_towards_a_tight_frame() -> None:
    def pairs(directions: Tensor) -> float:
        return float((directions @ directions.T).square().sum())

    drawn, pushed = (random_directions(48, 16, generator(), steps=steps, lr=0.01) for steps in (0, 200))
    torch.testing.assert_close(pushed.norm(dim=1), torch.ones(48))
    assert pairs(drawn) > 48**2 / 16 * 1.2
    assert pairs(pushed) == pytest.approx(48**2 / 16, rel=0.01)  # Welch's bound
    cosines = (pushed @ pushed.T).fill_diagonal_(0).abs().amax(1)
    torch.testing.assert_close(largest_cosines(pushed), cosines)


def expected_l0(subject: FeatureStatistics) -> float:
    """Work out how many features fire at once, as if their Gaussians were independent."""
    raised = subject.forest.compensated(subject.rates)
    actual = raised.clone()
    for above, below in subject.forest.levels:
        given = raised[below].view(-1, subject.parameters.branching)
        wins = torch.zeros_like(given)
        for active in itertools.product((0, 1), repeat=subject.parameters.branching):
            on = torch.tensor(active, dtype=torch.float64)
            chance = (on * given + (1 - on) * (1 - given)).prod(1, keepdim=True)
            wins += chance * on / max(1, sum(active))
        actual[below] = (wins * actual[above][:, None]).flatten()
    return float(actual.sum())


def test_synth_sae_bench_parameters_give_its_published_statistics() -> None:
    parameters = SYNTH_SAE_BENCH_16K
    directions = random_directions(parameters.n_features, parameters.width, generator(1))
    subject = FeatureStatistics(parameters, directions, generator(2))
    fires = [(codes > 0).float() for codes in subject.codes(2048, generator(3))]
    active = torch.cat([part.sum(1) for part in fires])
    assert float(active.mean()) == pytest.approx(34, rel=0.1)
    assert float(active.mean()) == pytest.approx(expected_l0(subject), rel=0.03)
    frequent = torch.cat([part[:, :4096].sum(1) for part in fires])
    assert float(frequent.mean()) == pytest.approx(25, rel=0.1)
    some = torch.randperm(len(directions), generator=generator(4))[:512]
    assert float(largest_cosines(directions, some).mean()) == pytest.approx(0.15, rel=0.05)
