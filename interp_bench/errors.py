"""Every error that interp_bench raises on purpose: one tree, one line each.

InterpBenchError
├── RegistryError        models.yaml is wrong, or a model is unknown
├── UnavailableError     a model's weights are not on this machine
├── SiteError            a name that is no site of this model
├── RegistrationError    a technique or task breaks its contract at registration
├── ContractError        a technique broke its contract while it ran
├── Inapplicable         a technique does not apply to this problem; the trial is skipped
├── PlantingError        a task cannot plant its mechanism in this model
├── IsolationError       a technique cannot be run in a process of its own
└── StoreError           a store or an export is damaged, foreign, locked, or cannot be written
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable


class InterpBenchError(Exception):
    """Base of all errors raised on purpose; its text is one line for the user."""


class RegistryError(InterpBenchError):
    """models.yaml is malformed, or names something that does not exist."""


class UnavailableError(InterpBenchError):
    """The weights of a model are not on this machine; the text says how to get them."""


class SiteError(InterpBenchError):
    """A name is not a site of this model."""


class RegistrationError(InterpBenchError):
    """A technique or a task does not meet its contract; found when it is registered."""


class ContractError(InterpBenchError):
    """A technique's answer or behaviour broke the contract of its track."""


class Inapplicable(InterpBenchError):
    """A technique does not apply to this problem; the trial is skipped with this reason."""


class PlantingError(InterpBenchError):
    """A mechanism does not fit into this model; the trial becomes ``invalid`` with this reason."""


class IsolationError(InterpBenchError):
    """A technique cannot be run in a process of its own; the text says what is in the way."""


class StoreError(InterpBenchError):
    """The store cannot be used as it is; the text says the way out."""


def near_name(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def one_line(text: str) -> str:
    """Return a text as one line, with an escape for every sign that cannot be printed or encoded."""
    flat = " ".join(text.split())
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in flat)


def shortened(value: object) -> str:
    """Return a value as python writes it, cut short where it is long: a message is one line."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
