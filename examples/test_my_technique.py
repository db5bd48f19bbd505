"""The contract suite on a technique of one's own: run pytest beside ``my_technique.py``."""

from my_technique import exemplars

from interp_bench.testing import parametrize_with_checks


@parametrize_with_checks([exemplars])
def test_exemplars(technique, check):
    """One item a check."""
    check(technique)
