"""Verdicts on published orderings, by hand."""

from __future__ import annotations

import pytest

from benchmarks.reproduce.orderings import ALIKE, Always, MostBelow, Ordering, Relation, Values, verdict
from benchmarks.reproduce.sections import Measured, gathered
from interp_bench.analysis.stats import Interval, t_interval


def values(**found: list[float]) -> Values:
    return {"score": {name: {str(i): v for i, v in enumerate(these)} for name, these in found.items()}}


def judged(relation: Relation, first: list[float], second: list[float]) -> str:
    ordering = Ordering(metric="score", first="a", second="b", relation=relation, published="")
    return ordering.judged(values(a=first, b=second)).verdict


@pytest.mark.parametrize(
    ("relation", "low", "high", "wanted"),
    [
        (">", 0.001, 0.2, "holds"),
        (">", -0.001, 0.2, "undecided"),
        (">", -0.2, -0.001, "does not hold"),
        (">=", -ALIKE + 0.001, 0.0, "holds"),
        (">=", -ALIKE - 0.001, 0.3, "undecided"),
        (">=", -0.3, -ALIKE - 0.001, "does not hold"),
        ("~", -ALIKE, ALIKE, "holds"),
        ("~", -ALIKE, ALIKE + 0.001, "undecided"),
        ("~", ALIKE + 0.001, 0.5, "does not hold"),
        ("~", -0.5, -ALIKE - 0.001, "does not hold"),
    ],
)
def test_verdicts(relation: Relation, low: float, high: float, wanted: str) -> None:
    assert verdict(relation, Interval(mean=(low + high) / 2, low=low, high=high, n=5)) == wanted


@pytest.mark.parametrize("relation", [">", ">=", "~"])
def test_one_unit_decides_nothing(relation: Relation) -> None:
    assert judged(relation, [1.0], [0.0]) == "undecided"
    assert judged(relation, [0.0], [1.0]) == "undecided"


def test_differences_are_paired() -> None:
    """The values spread by 1 and more, their differences by 0.02: unpaired, nothing could be told."""
    first, second = [0.1, 1.1, 2.2, 3.0], [0.0, 1.01, 2.11, 2.9]
    found = Ordering(metric="score", first="a", second="b", relation=">", published="").judged(
        values(a=first, b=second)
    )
    gap = t_interval([0.1, 0.09, 0.09, 0.1])
    assert found.found == f"+0.095 [{gap.low:+.3f}, {gap.high:+.3f}]"
    assert (found.verdict, found.n) == ("holds", 4)


def test_values_of_other_units_are_not_compared() -> None:
    ordering = Ordering(metric="score", first="a", second="b", relation=">", published="")
    with pytest.raises(ValueError, match="a and b were not measured on the same units"):
        ordering.judged(values(a=[1.0, 2.0], b=[1.0]))


def test_most_is_more_than_half_over_the_units() -> None:
    bar = [0.5, 0.5, 0.5]
    most = MostBelow(metric="score", bar="edges", published="")
    found = most.judged(values(edges=bar, a=[0.1] * 3, b=[0.2, 0.2, 0.9], c=[0.9] * 3, d=[0.3] * 3))
    assert found.statement == "most of 4 < edges"
    assert found.found.startswith("67% below")  # 3, 3 and 2 of 4
    assert found.verdict == "undecided"
    assert most.judged(values(edges=bar, a=[0.1] * 3, b=[0.2] * 3, c=[0.9] * 3)).verdict == "holds"
    assert most.judged(values(edges=bar, a=[0.9] * 3, b=[0.2] * 3, c=[0.9] * 3)).verdict == "does not hold"


def test_one_value_below_a_bound_breaks_it() -> None:
    bound = Always(metric="score", least=1.0, published="")
    assert bound.judged(values(a=[1.0, 2.0], b=[1 - 1e-7, 1.5])).verdict == "holds"
    broken = bound.judged(values(a=[1.0, 2.0], b=[0.999, 1.5]))
    assert (broken.verdict, broken.n, broken.found) == ("does not hold", 4, "least 0.9990")


def test_values_of_one_unit_are_averaged() -> None:
    found = [
        Measured(metric="m", technique="a", unit="0", value=1.0),
        Measured(metric="m", technique="a", unit="1", value=5.0),
        Measured(metric="m", technique="a", unit="0", value=2.0),
    ]
    assert gathered(found) == {"m": {"a": {"0": 1.5, "1": 5.0}}}
