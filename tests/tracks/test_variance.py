"""What directions span and codes explain, worked by hand."""

from __future__ import annotations

import gc

import pytest
import torch

from interp_bench.tracks import variance
from interp_bench.tracks.variance import centred, explained, within


def test_r2_by_hand() -> None:
    samples = torch.tensor([[2.0, 1], [-2, 1], [2, -1], [-2, -1]]).double()  # variances 4 and 1, uncorrelated
    assert within(centred(samples), torch.tensor([[3.0, 0]]).double()) == pytest.approx(0.8)
    assert within(centred(samples), torch.tensor([[1.0, 0], [1, 1], [2, 5]]).double()) == pytest.approx(1)
    assert explained(centred(samples), samples[:, 1:]) == pytest.approx(0.2)
    assert explained(centred(samples), torch.cat([samples, samples], dim=1)) == pytest.approx(1)


@pytest.mark.parametrize("many", [1, 3, 5, 6, 9])
def test_the_share_within_a_span_is_that_of_the_least_squares_fit(many: int) -> None:
    generator = torch.Generator().manual_seed(many)
    samples = torch.randn(50, 6, generator=generator).double()
    directions = torch.randn(many, 6, generator=generator).double()
    directions[-1] = directions[0]  # repeated, so that the span is smaller
    x = samples - samples.mean(0)
    left = x - x @ torch.linalg.pinv(directions) @ directions
    expected = float(1 - left.square().sum() / x.square().sum())
    assert within(centred(samples), directions) == pytest.approx(expected)
    assert within(centred(samples), torch.zeros(many, 6).double()) == 0


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e100])
def test_what_codes_explain_is_what_a_least_squares_fit_leaves(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(80, 5, generator=generator).double()
    codes = torch.randn(80, 9, generator=generator).double() + 3
    codes[:, 4], codes[:, 7], codes[:, 8] = 0, codes[:, 1], codes[:, 0] - 2 * codes[:, 2]
    x, c = samples - samples.mean(0), codes - codes.mean(0)
    left = x - c @ torch.linalg.lstsq(c, x, driver="gelsd").solution
    expected = float(1 - left.square().sum() / x.square().sum())
    assert explained(centred(samples), codes * scale) == pytest.approx(expected, rel=1e-9)


def test_silent_codes_explain_nothing() -> None:
    samples = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert explained(centred(samples), torch.ones(20, 4).double()) == 0


def test_samples_are_centred_once_and_forgotten_with_them() -> None:
    samples = torch.tensor([[1.0, 0], [3, 4]])
    found = centred(samples)
    assert found.values.tolist() == [[-1, -2], [1, 2]]
    assert found.total == 10
    assert centred(samples) is found
    assert centred(samples.clone()) is not found
    kept = len(variance._CENTRED)
    del samples
    gc.collect()
    assert len(variance._CENTRED) < kept
