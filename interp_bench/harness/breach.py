"""One way in which a technique broke the contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One way in which the contract was broken.

    Attributes:
        message: what was left behind, and what to do instead.
        spoilt: whether the planted problem itself was changed, so that it must be planted again.
    """

    message: str
    spoilt: bool = False
