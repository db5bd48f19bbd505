"""Numbers as text."""

from __future__ import annotations

import pytest

from interp_bench.analysis.reach import Reach, Rung
from interp_bench.analysis.standings import Cost
from interp_bench.analysis.stats import Interval, t_interval
from interp_bench.board import figures

WORKS = Interval(mean=0.9, low=0.8, high=1.0, n=3)
FAILS = Interval(mean=0.2, low=0.1, high=0.3, n=3)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (850, "850"),
        (6_404, "6.4k"),
        (30_000, "30k"),
        (999_400, "999k"),
        (999_600, "1m"),
        (5_130_752, "5.1m"),
        (9_960_000, "10m"),
        (134_515_008, "135m"),
        (6_740_000_000, "6.7b"),
        (1_500_000_000_000, "1500b"),
    ],
)
def test_parameters(params, text):
    assert figures.params_text(params) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "<1 ms"),
        (0.0031, "3 ms"),
        (0.0996, "0.10 s"),
        (0.454, "0.45 s"),
        (0.996, "1.0 s"),
        (9.96, "10 s"),
        (119.0, "119 s"),
        (210.0, "3.5 min"),
    ],
)
def test_seconds(seconds, text):
    assert figures.seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7190, "119.8 min"), (7200, "2.0 h"), (9e6, "2,500.0 h"), (4e8, "> 100,000 h")]
)
def test_hours(seconds, text):
    assert figures.seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("factor", "text"), [(1.04, "1x"), (1.26, "1.3x"), (9.7, "9.7x"), (12.4, "12x"), (1499, "1,500x")]
)
def test_times(factor, text):
    assert figures.times_text(factor) == text


def test_intervals():
    assert figures.interval_text(t_interval([0.75, 0.75])) == "0.75 ±0.00"
    assert figures.interval_text(t_interval([0.75])) == "0.75"
    assert figures.interval_text(None) == "-"
    assert figures.interval_text(t_interval([-0.001, -0.001])) == "0.00 ±0.00"


def test_cost_leaves_out_passes_that_were_not_made():
    def cost(forwards, backwards):
        return Cost(seconds=2.0, forwards=forwards, backwards=backwards, peak_memory_mb=0.0)

    assert figures.cost_text(cost(4, 2)) == "2.0 s 4f 2b"
    assert figures.cost_text(cost(4.5, 0)) == "2.0 s 4.5f"
    assert figures.cost_text(None) == "-"


@pytest.mark.parametrize(
    ("skills", "text", "edge"),
    [
        ((WORKS, WORKS, WORKS), "1k..1m", ""),
        ((WORKS, WORKS, FAILS), "1k..30k", "30k to 1m"),
        ((WORKS, FAILS, WORKS), "1k~1m", ""),
        ((FAILS, WORKS, FAILS), "30k", "30k to 1m"),
        ((FAILS, FAILS, FAILS), "none", ""),
        ((t_interval([1.0]),) * 3, "?", ""),
    ],
)
def test_reach(skills, text, edge):
    sizes = (1_000, 30_000, 1_000_000)
    rungs = tuple(Rung(model=str(p), params=p, skill=s) for p, s in zip(sizes, skills, strict=True))
    reach = Reach(technique="t", track="features", ladder="l", rungs=rungs)
    assert figures.reach_text(reach) == text
    assert figures.edge_text(reach) == edge


def test_reach_on_a_ladder_of_one_size():
    rungs = tuple(
        Rung(model=name, params=1_000, skill=s) for name, s in (("a", WORKS), ("b", WORKS), ("c", FAILS))
    )
    reach = Reach(technique="t", track="features", ladder="l", rungs=rungs)
    assert figures.reach_text(reach) == "2 of 3 models"


def test_names_and_counts():
    assert figures.names_text(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert figures.names_text(["a", "b"]) == "a, b"
    assert (figures.part_text(3, 3), figures.part_text(2, 3)) == ("3", "2 of 3")
    assert figures.plural(1, "trial") == "1 trial"
    assert figures.plural(1200, "trial") == "1,200 trials"
    assert figures.count_text({"failed": 1, "crashed": 2}) == "1 failed, 2 crashed"
