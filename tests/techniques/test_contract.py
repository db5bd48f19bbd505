"""Every technique of the package passes the contract suite that it ships to authors."""

from __future__ import annotations

from pathlib import Path

import interp_bench
from interp_bench.harness.discovery import load_installed
from interp_bench.testing import Check, parametrize_with_checks
from interp_bench.tracks.catalogue import CATALOGUE, Technique

PACKAGE = Path(interp_bench.__file__).parent

load_installed()
TECHNIQUES = [t for t in CATALOGUE.techniques.values() if t.origin.is_relative_to(PACKAGE)]


@parametrize_with_checks(TECHNIQUES)
def test_contract(technique: Technique, check: Check) -> None:
    check(technique)
