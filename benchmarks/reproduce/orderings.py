"""Published orderings, and whether values over seeds agree with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from interp_bench.analysis.stats import Interval, mean, t_interval

ALIKE = 0.05
"""What is not worse, or alike, has an interval of the difference that says so up to this."""

Values = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By metric, technique and unit: the seed or the circuit over which differences are paired."""
Verdict = Literal["holds", "does not hold", "undecided"]
Relation = Literal[">", ">=", "~"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found of one published statement.

    Attributes:
        metric: name of the metric.
        statement: what was published, in signs.
        published: the published values, as text.
        found: what is measured here, with its interval, as text.
        n: how many units it rests on.
        verdict: whether it holds here.
        explained: why it does not, as far as that is known.
    """

    metric: str
    statement: str
    published: str
    found: str
    n: int
    verdict: Verdict
    explained: str


class Statement(Protocol):
    """Something published that values can be held against."""

    @property
    def metric(self) -> str:
        """Name of the metric that it is about."""

    def judged(self, values: Values) -> Judged:
        """Return what the values say of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One published comparison of two techniques.

    Attributes:
        metric: name of the metric.
        first, second: names of the techniques.
        relation: ``>``; ``>=`` where the first was published as no worse; ``~`` where they were alike.
        published: their published values, as text.
        explained: why it does not hold here, where it does not.
    """

    metric: str
    first: str
    second: str
    relation: Relation
    published: str
    explained: str = ""

    def judged(self, values: Values) -> Judged:
        """Return the 95% t-interval of the paired differences, and what it says."""
        first, second = (values[self.metric][name] for name in (self.first, self.second))
        if first.keys() != second.keys():
            raise ValueError(f"{self.first} and {self.second} were not measured on the same units")
        gap = t_interval([first[unit] - second[unit] for unit in first])
        return Judged(
            metric=self.metric,
            statement=f"{self.first} {self.relation} {self.second}",
            published=self.published,
            found=f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]",
            n=gap.n,
            verdict=verdict(self.relation, gap),
            explained=self.explained,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MostBelow:
    """Most techniques were published as worse than one that is trivial.

    Attributes:
        metric: name of the metric.
        bar: the trivial technique; all others that have values of the metric are held against it.
        published: the published values, as text.
        explained: why it does not hold here, where it does not.
    """

    metric: str
    bar: str
    published: str
    explained: str = ""

    def judged(self, values: Values) -> Judged:
        """Return the 95% t-interval, over units, of the share that lies below the bar; most is above half."""
        bar = values[self.metric][self.bar]
        others = [found for name, found in values[self.metric].items() if name != self.bar]
        shares = [mean([float(other[unit] < bar[unit]) for other in others]) for unit in bar]
        share = t_interval(shares)
        beyond = t_interval([one - 0.5 for one in shares])
        return Judged(
            metric=self.metric,
            statement=f"most of {len(others)} < {self.bar}",
            published=self.published,
            found=f"{share.mean:.0%} below [{share.low:.0%}, {share.high:.0%}]"
            if share.bounded
            else f"{share.mean:.0%} below",
            n=share.n,
            verdict=verdict(">", beyond),
            explained=self.explained,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Always:
    """A bound that follows from definitions, so that one value below it is a mistake in the code.

    Attributes:
        metric: name of the metric.
        least: no value lies below it, but for rounding.
        published: where the bound comes from.
    """

    metric: str
    least: float
    published: str

    def judged(self, values: Values) -> Judged:
        """Return the least value."""
        found = [value for units in values[self.metric].values() for value in units.values()]
        lowest = min(found)
        return Judged(
            metric=self.metric,
            statement=f">= {self.least:g}, always",
            published=self.published,
            found=f"least {lowest:.4f}",
            n=len(found),
            verdict="holds" if lowest >= self.least - 1e-6 else "does not hold",
            explained="",
        )


def verdict(relation: Relation, gap: Interval) -> Verdict:
    """Return what the interval of a difference says of a published relation."""
    if relation == "~":
        if gap.low >= -ALIKE and gap.high <= ALIKE:
            return "holds"
        return "does not hold" if gap.low > ALIKE or gap.high < -ALIKE else "undecided"
    bar = 0.0 if relation == ">" else -ALIKE
    if gap.n > 1 and gap.low > bar:
        return "holds"
    return "does not hold" if gap.n > 1 and gap.high < bar else "undecided"


def interval_of(found: Sequence[float]) -> str:
    """Return a mean and half its 95% interval, as text."""
    interval = t_interval(found)
    return f"{interval.mean:.3f}" + (f" ±{interval.half:.3f}" if math.isfinite(interval.half) else "")
