"""What is known of models beside their trials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model as models.yaml describes it.

    Attributes:
        id: its name in trials.
        license: of its weights, or of the code that makes them.
        tier: the smallest tier that runs it.
        about: what its ladder is, in one sentence.
        capability: a published measure in words, with its source; empty where there is none.
        notes: anything else; may be empty.
    """

    id: str
    license: str
    tier: str
    about: str
    capability: str = ""
    notes: str = ""
