"""The response model against its own formula, closed forms, and boards whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import t as student

from interp_bench.analysis.response import RIDGE, fit


def drawn(generator, *, rows=20, columns=30, noise=0.05, clash=0.0, missing=0.0):
    """Return skills and the abilities and difficulties that they were drawn from."""
    abilities = generator.normal(0, 1, rows)
    abilities -= abilities.mean()
    difficulties = generator.normal(0.5, 1, columns)
    clashes = clash * generator.standard_normal((rows, columns))
    skills = expit(abilities[:, None] - difficulties[None, :] + clashes)
    skills = skills + noise * generator.standard_normal(skills.shape)
    skills[generator.random(skills.shape) < missing] = np.nan
    return skills, abilities, difficulties


def from_origin(fitted, abilities, difficulties):
    """Return true parameters with the origin that a fit has chosen."""
    origin = fitted.weights @ abilities
    return abilities - origin, difficulties - origin


def test_one_technique_at_one_place_is_half_way_at_difficulty_nought():
    fitted = fit(np.array([[0.5]]))
    assert fitted.abilities == pytest.approx([0.0])
    assert fitted.difficulties == pytest.approx([0.0])
    assert fitted.expected[0, 0] == pytest.approx(0.5)


def test_one_row_has_the_difficulties_of_its_logits():
    # With one technique its ability is 0; the ridge moves difficulties by less than a hundredth.
    skills = np.array([[0.2, 0.5, 0.8]])
    assert fit(skills).difficulties == pytest.approx(-logit(skills[0]), abs=0.11)
    assert fit(np.repeat(skills, 100, axis=0)).difficulties == pytest.approx(-logit(skills[0]), abs=0.002)


def test_fit_is_the_least_of_the_penalised_sum():
    skills, *_ = drawn(np.random.default_rng(0), rows=4, columns=5, noise=0.2, missing=0.2)

    def penalised(values):
        abilities, difficulties = values[:4], values[4:]
        eta = abilities[:, None] - difficulties[None, :]
        data = np.nansum(np.log1p(np.exp(eta)) - skills * eta)
        apart = difficulties - difficulties.mean()
        return data + RIDGE / 2 * ((abilities**2).sum() + (apart**2).sum())

    best = minimize(penalised, np.zeros(9), method="BFGS", options={"gtol": 1e-8}).x
    fitted = fit(skills)
    origin = fitted.weights @ best[:4]
    assert np.concatenate([fitted.abilities, fitted.difficulties]) == pytest.approx(best - origin, abs=1e-4)


def test_mean_ability_is_nought_and_known_parameters_come_back():
    skills, abilities, difficulties = drawn(np.random.default_rng(1), rows=40, columns=60, missing=0.3)
    fitted = fit(skills)
    assert fitted.weights @ fitted.abilities == pytest.approx(0.0, abs=1e-9)
    abilities, difficulties = from_origin(fitted, abilities, difficulties)
    assert np.corrcoef(fitted.abilities, abilities)[0, 1] > 0.99
    assert np.corrcoef(fitted.difficulties, difficulties)[0, 1] > 0.99
    assert fitted.abilities == pytest.approx(abilities, abs=0.25)
    assert fitted.difficulties == pytest.approx(difficulties, abs=0.35)


@pytest.mark.parametrize("clash", [0.0, 1.0], ids=["noise alone", "techniques differ in where they work"])
def test_intervals_of_difficulties_cover_the_truth(clash):
    generator = np.random.default_rng(2)
    covered = []
    for _ in range(40):
        skills, abilities, difficulties = drawn(generator, rows=12, columns=20, clash=clash, missing=0.1)
        fitted = fit(skills)
        _, difficulties = from_origin(fitted, abilities, difficulties)
        # What the curve says of a mean over clashes is less steep.
        difficulties = _flattened(difficulties, clash)
        count = fitted.held.sum(axis=0)
        halves = fitted.half_widths(
            fitted.difficulties_of_parameters, np.eye(12), np.ones((12, 20)), count - 1.0
        )
        covered += list(np.abs(fitted.difficulties - difficulties) <= halves)
    assert 0.91 <= np.mean(covered) <= 0.99


def _flattened(difficulties, clash):
    """Return the logits that a mean over normal clashes amounts to (MacKay 1992: 1 / sqrt(1 + pi v / 8))."""
    return difficulties / np.sqrt(1 + np.pi * clash**2 / 8)


def test_intervals_of_abilities_cover_the_truth_where_models_differ():
    generator = np.random.default_rng(3)
    models = np.kron(np.eye(10), np.ones((1, 3)))
    covered = []
    for _ in range(40):
        skills, abilities, _ = drawn(generator, rows=15, columns=30)
        fitted = fit(skills)
        abilities, _ = from_origin(fitted, abilities, 0.0)
        halves = fitted.half_widths(
            fitted.abilities_of_parameters, np.ones((10, 15)), models, np.full(15, 9.0)
        )
        covered += list(np.abs(fitted.abilities - abilities) <= halves)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_half_width_of_one_place_is_that_of_a_mean():
    # Abilities of many places are known, so that the last place is the mean of what its techniques say:
    # its variance is sum r^2 / (1 - h) / (sum w)^2, with every w = 0.25 at skill one half.
    skills = np.full((4, 400), 0.5)
    skills[:, -1] = [0.4, 0.6, 0.45, 0.55]
    fitted = fit(skills)
    half = fitted.half_widths(np.eye(1, 404, k=403), np.eye(4), np.ones((4, 400)), np.array([3.0]))[0]
    residuals = np.array([0.1, 0.1, 0.05, 0.05])
    variance = (residuals**2 / (1 - 0.25)).sum() * 4 / 3
    assert half == pytest.approx(student.isf(0.025, 3) * np.sqrt(variance), rel=0.02)


def test_places_where_every_skill_is_nought_stay_finite_and_hardest():
    skills = np.array([[0.9, 0.5, 0.0], [0.8, 0.4, 0.0], [0.7, 0.3, -0.1]])
    fitted = fit(skills)
    assert np.isfinite(fitted.difficulties).all()
    assert fitted.difficulties.argmax() == 2
    assert fitted.expected[:, 2].max() < 0.05


def test_a_technique_without_any_skill_does_not_move_the_others():
    generator = np.random.default_rng(4)
    skills, *_ = drawn(generator, rows=8, columns=10, noise=0.02)
    dull = np.vstack([skills, np.zeros((3, 10)) + 0.01 * generator.standard_normal((3, 10))])
    alone, beside = fit(skills), fit(dull)
    assert beside.difficulties == pytest.approx(alone.difficulties, abs=0.4)
    assert beside.weights[8:].max() < 0.02


def test_intervals_of_expected_skill_cover_the_truth_on_boards_with_gaps_and_dull_techniques():
    generator = np.random.default_rng(6)
    covered = []
    for _ in range(30):
        abilities, difficulties = generator.normal(0, 1, 24), generator.normal(0, 1, 16)
        abilities[:8] -= 6
        eta = abilities[:, None] - difficulties[None, :]
        # Mean over clashes between techniques and places, by the ten points of Gauss and Hermite.
        points, weights = np.polynomial.hermite_e.hermegauss(10)
        truth = (expit(eta[..., None] + points) @ (weights / weights.sum())).mean(axis=0)
        skills = expit(eta + generator.standard_normal(eta.shape))
        skills[generator.random(eta.shape) < 0.4] = np.nan
        fitted = fit(skills)
        halves = fitted.half_widths(
            fitted.means_of_parameters, np.eye(24), np.ones((24, 16)), fitted.held.sum(axis=0) - 1.0
        )
        covered += list(np.abs(fitted.expected.mean(axis=0) - truth) <= halves)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_slope_of_the_mean_skill_is_that_of_small_changes():
    skills, *_ = drawn(np.random.default_rng(5), rows=4, columns=3)
    fitted = fit(skills)
    values = np.concatenate([fitted.abilities, fitted.difficulties])
    slopes = fitted.means_of_parameters
    for index in range(7):
        moved = [values + sign * 1e-5 * np.eye(7)[index] for sign in (1, -1)]
        up, down = (expit(v[:4, None] - v[None, 4:]).mean(axis=0) for v in moved)
        assert slopes[:, index] == pytest.approx((up - down) / 2e-5, abs=1e-8)


def test_a_table_with_an_empty_row_or_column_is_refused():
    for skills in (np.array([[np.nan, np.nan], [0.5, 0.5]]), np.array([[np.nan, 0.5]]), np.zeros((0, 3))):
        with pytest.raises(ValueError, match="needs a cell"):
            fit(skills)
