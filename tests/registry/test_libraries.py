"""What opening a model of each kind imports, so that it can be imported elsewhere meanwhile."""

from __future__ import annotations

from importlib.util import find_spec

from interp_bench.registry.opening import LIBRARIES
from interp_bench.registry.sources import SOURCE_KINDS


def test_every_kind_of_source_has_modules_that_exist() -> None:
    assert set(LIBRARIES) == set(SOURCE_KINDS)
    assert all(find_spec(name) for names in LIBRARIES.values() for name in names)
