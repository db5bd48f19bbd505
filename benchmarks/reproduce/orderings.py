"""Published orderings, and whether values over seeds agree with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from interp_bench.analysis.stats import t_interval

ALIKE = 0.05
"""Two techniques are alike where the interval of their difference is within this, either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One published comparison of two techniques.

    Attributes:
        metric: name of the metric.
        first, second: names of the techniques.
        relation: ``>``, or ``~`` where they were published as equal.
        published: their published values, as text.
    """

    metric: str
    first: str
    second: str
    relation: Literal[">", "~"]
    published: str

    def judged(self, values: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
        """Return a row: the comparison, what was published, the paired difference here, and the verdict.

        Args:
            values: by metric and technique, one value per seed.
        """
        pairs = zip(values[self.metric][self.first], values[self.metric][self.second], strict=True)
        found = t_interval([a - b for a, b in pairs])
        comparison = f"{self.first} {self.relation} {self.second}"
        difference = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        return [self.metric, comparison, self.published, difference, self._verdict(found.low, found.high)]

    def _verdict(self, low: float, high: float) -> str:
        if self.relation == ">":
            return "holds" if low > 0 else "does not hold" if high < 0 else "undecided"
        if low >= -ALIKE and high <= ALIKE:
            return "holds"
        return "does not hold" if low > ALIKE or high < -ALIKE else "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What one section measured.

    Attributes:
        values: by metric and technique, one value per seed.
        notes: sentences on what was chosen and found on the way.
    """

    values: Mapping[str, Mapping[str, Sequence[float]]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One published result that is measured anew.

    Attributes:
        name: what the command calls it.
        title: what the table calls it.
        source: where it was published.
        scale: how the set-up here differs.
        orderings: what was published.
        measure: measures it over that many seeds.
    """

    name: str
    title: str
    source: str
    scale: str
    orderings: tuple[Ordering, ...]
    measure: Callable[[int], Reproduction]
