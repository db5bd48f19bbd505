"""A certificate: measured proof that the planted truth is the mechanism."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal

Relation = Literal[">=", "<="]
_COMPARE = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One measured number and the bound it has to meet.

    Attributes:
        name: what was measured, e.g. ``sufficiency`` or ``necessity[a1.h0->logits]``.
        value: the measured number.
        relation: ``>=`` or ``<=``.
        bound: the number that ``value`` is compared with; not finite values never pass.
    """

    name: str
    value: float
    relation: Relation
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the value meets its bound (a NaN never does)."""
        return bool(_COMPARE[self.relation](self.value, self.bound))

    def __str__(self) -> str:
        """Return e.g. ``sufficiency 0.62 (bound >= 0.95)``."""
        return f"{self.name} {self.value:.3g} (bound {self.relation} {self.bound:g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """All checks of one planted problem; the problem is scored only if every check passed."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed; a certificate without checks never passes."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """Return the checks that failed as one line, empty when all passed."""
        if not self.checks:
            return "the certificate holds no checks"
        return "; ".join(str(check) for check in self.checks if not check.passed)

    def as_numbers(self) -> dict[str, dict[str, float | str | bool]]:
        """Return the checks as plain numbers, for the store."""
        return {
            check.name: {
                "value": check.value,
                "relation": check.relation,
                "bound": check.bound,
                "passed": check.passed,
            }
            for check in self.checks
        }
