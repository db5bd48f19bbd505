"""The tiers of a run, from minutes on a laptop to hours on a GPU; each holds those before it."""

from __future__ import annotations

TIERS = ("quick", "standard", "full")
