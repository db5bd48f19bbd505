"""Sizes and times as people write them."""

from __future__ import annotations

import argparse

import pytest

from interp_bench.cli.quantities import count, duration, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.3e9", 1_300_000_000), ("1.3b", 1_300_000_000), ("1.3B", 1_300_000_000), ("130m", 130_000_000),
        ("30k", 30_000), ("0.0005m", 500), ("2t", 2 * 10**12), ("135,000,000", 135_000_000),
        ("1_000", 1000), ("1", 1), ("1e+6", 10**6),
    ],
)  # fmt: skip
def test_sizes(text, value):
    assert size(text) == value


@pytest.mark.parametrize(
    "text", ["", "b", "0", "-1", "1.3g", "1e400", "nan", "1e16", "0.1", "٣k", "1 3", "1e9e9"]
)
def test_no_sizes(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no number of parameters"):
        size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10min", 600.0), ("90s", 90.0), ("1h", 3600.0), ("500ms", 0.5), ("1.5 H", 5400.0), ("2e3s", 2000.0)],
)
def test_times(text, value):
    assert duration(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "10", "0s", "-1s", "1d", "s", "nan", "1m", "٣s"])
def test_no_times(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no time"):
        duration(text)


def test_counts():
    assert count("12") == 12
    for text in ("0", "-1", "1.5", "", "9" * 30, "٣"):
        with pytest.raises(argparse.ArgumentTypeError):
            count(text)
